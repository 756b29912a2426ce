//! What the images and their host twin both run.

#![no_std]
