// The artifact's bytes, in flash: read in place, at a multiple of 16.
    .section .rodata.model, "a"
    .global model, model_end
    .balign 16
model:
    .incbin MODEL
model_end:
#ifdef __linux__
    .section .note.GNU-stack, "", %progbits
#endif
