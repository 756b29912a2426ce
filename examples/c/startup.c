// What a Cortex-M4F does before main: the vector table, memory, the FPU, semihosting.

#include <stdint.h>
#include <stdlib.h>

extern uint32_t data_start[], data_end[], data_load[], bss_start[], bss_end[], stack_top[];
int main(void);
void initialise_monitor_handles(void);
void reset(void);

static void fault(void) {
    exit(2);
}

__attribute__((section(".vectors"), used)) static const void *const vectors[16] = {
    stack_top, reset, fault, fault, fault, fault, fault,
};

void reset(void) {
    // Full access to the FPU: the coprocessors 10 and 11 of CPACR.
    *(volatile uint32_t *)0xE000ED88 |= 0xFu << 20;
    __asm volatile("dsb\n isb" ::: "memory");
    const uint32_t *from = data_load;
    for (uint32_t *to = data_start; to < data_end; to++) {
        *to = *from++;
    }
    for (uint32_t *to = bss_start; to < bss_end; to++) {
        *to = 0;
    }
    initialise_monitor_handles();
    exit(main());
}
