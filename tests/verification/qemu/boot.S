# Enters the guest from a multiboot loader: flat 32-bit segments, a stack, the timer's interrupt.
.section .multiboot
.align 4
.long 0x1BADB002                    # magic
.long 0x00000003                    # aligned modules, memory map
.long -(0x1BADB002 + 0x00000003)    # checksum

.text
.global _start
_start:
    mov $stack_top, %esp
    lgdt gdt_register
    ljmp $8, $flat
flat:
    mov $16, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    push %ebx                       # the loader's record
    call run

.global timer_interrupt
timer_interrupt:
    push %eax
    mov $0x20, %al                  # end of interrupt
    out %al, $0x20
    pop %eax
    iret

.align 8
gdt: .quad 0, 0x00CF9A000000FFFF, 0x00CF92000000FFFF
gdt_register:
    .word . - gdt - 1
    .long gdt

.bss
.align 16
.skip 16384
stack_top:

.section .note.GNU-stack, "", @progbits
