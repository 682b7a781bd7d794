# Enters the guest from a multiboot loader: flat 32-bit segments, a stack, the interrupts; and the entry of its
# other processors, which begin in 16-bit mode.
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
    fninit
    push %ebx                       # the loader's record
    call run

.global timer_interrupt
timer_interrupt:
    push %eax
    push %edx
    mov ticks, %al                  # send a tick: 128 and the low 7 bits of their number
    incb ticks
    or $0x80, %al
    mov $0x3f8, %dx
    out %al, %dx
    mov $0x20, %al                  # end of interrupt, to the interrupt controller
    out %al, $0x20
    pop %edx
    pop %eax
    iret

.global wake_interrupt
wake_interrupt:
    movl $0, 0xFEE000B0             # end of interrupt, to the processor's own controller
    iret

# Where another processor begins; copied to ENTRY, since it can address but the first MiB.
.set ENTRY, 0x8000
.code16
.global entry, entry_end
entry:
    cli
    xor %ax, %ax
    mov %ax, %ds
    lgdtl ENTRY + entry_gdt_register - entry
    mov %cr0, %eax
    or $1, %eax
    mov %eax, %cr0
    ljmpl $8, $other_flat
.align 4
entry_gdt_register:
    .word entry_gdt_register - entry_gdt_register + 23
    .long gdt
entry_end:
.code32
other_flat:
    mov $16, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    fninit
    mov $1, %eax
    lock xadd %eax, started         # its number
    mov %eax, %ecx
    shl $12, %ecx
    lea other_stacks(%ecx), %esp
    push %eax
    call run_other

.align 8
gdt: .quad 0, 0x00CF9A000000FFFF, 0x00CF92000000FFFF
gdt_register:
    .word . - gdt - 1
    .long gdt

.data
.align 4
.global started
started: .long 1                    # processors that run
ticks: .long 0

.bss
.align 16
.skip 16384
stack_top:
other_stacks:
.skip 32768

.section .note.GNU-stack, "", @progbits
