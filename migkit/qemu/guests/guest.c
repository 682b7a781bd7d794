/* A guest whose dirtying is known, and which proves that its memory is what it wrote.
 *
 * It fills its classes of pages once and says READY. When a G comes it writes, every millisecond, as many pages as
 * its rates ask for, paced by the wall clock. The sleeps of a throttle are caught up; a pause longer than 1.5 s is not.
 * It has a capacity: for each second that it is awake it writes no more pages than that.
 * Each millisecond the timer's interrupt sends one byte, 128 plus the low 7 bits of a counter, and every 32 turns the
 * guest sends "W" with the writes done, in hexadecimal.
 * When a C comes it stops, compares every page with what it must hold, and says
 * "C PAGES_THAT_DIFFER SUM_IS_RIGHT WRITES".
 *
 * A page's content follows from its number, but for the words that a write changes: the first of them counts writes,
 * the others follow from it. The sum of all first words is kept as they are written, so that one stale page shows
 * for ever, even if it is written again.
 *
 * Its command line ends with "@CPUS MEMORY_PAGES COUNT CAPACITY", then of each class the numbers of read_class below.
 * The capacity counts writes in a thousand seconds, as rates do; 0: it is that of the machine. */

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

enum { PAGE = 4096, WORDS = PAGE / 4, MOST_CLASSES = 400, MOST_CPUS = 8, MOST_PHASES = 16 };
enum { SERIAL = 0x3f8, TIMER_HZ = 1193182, TIMER = 0x20, WAKE = 0x30, ENTRY = 0x8000 };
enum { FIRST_PAGE = 512, MOST_PAGES = 1 << 20 };
/* Firmware keeps tables in the last pages of memory, and leaves what it worked with in those before the last 16 MiB. */
enum { TABLES_PAGES = 256, HIGH_PAGES = 4096 };
enum { ZERO, RANDOM, CONSTANT };
enum { ANYWHERE, SWEEP, GROWTH };
enum { REPORT_TURNS = 32 };
#define HPET ((volatile u32 *)0xFED00000) /* counts 100 million a second in QEMU */
#define APIC ((volatile u32 *)0xFEE00000)
#define PAUSE_S 1.5
#define TURN_S 0.01
#define TICK_S 1e-3
#define AWAKE_S 2e-3 /* what takes longer from tick to tick slept: a throttle's shortest sleep is 2.5 ms */

struct phase { double duration_s, intensity; };
struct class {
    u32 base, pages, stride, fill, kind, cpu, position, read_position, first_word, words, phases, phase;
    double writes_per_s, reads_per_s, due, may, reads_due, in_phase_s;
    struct phase cycle[MOST_PHASES];
};
struct cpu { u64 sum, seed; u32 written; volatile u32 idle; } __attribute__((aligned(64)));

extern void timer_interrupt(void), wake_interrupt(void);
extern const u8 entry[], entry_end[];
extern volatile u32 started;
static struct class classes[MOST_CLASSES];
static struct cpu cpus[MOST_CPUS];
static struct { u16 low, selector; u8 zero, type; u16 high; } __attribute__((packed)) gates[256];
static u8 kept[MOST_PAGES / 8]; /* a bit for each page of a class */
static u32 count, cpu_count, memory_pages;
static volatile u32 going;
static double per_s, capacity_per_s;
static const char *text;

static void out(u16 port, u8 value) { __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port)); }

static u8 in(u16 port)
{
    u8 value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static u64 cycles(void)
{
    u32 low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return ((u64)high << 32) | low;
}

static u64 hpet(void)
{
    u32 high, low;
    do {
        high = HPET[0xF4 / 4];
        low = HPET[0xF0 / 4];
    } while (high != HPET[0xF4 / 4]);
    return ((u64)high << 32) | low;
}

static double cycles_per_s(void)
{
    HPET[0x10 / 4] |= 1;
    u64 start = hpet(), first = cycles();
    while (hpet() - start < 20000000)
        ;
    return (long long)(cycles() - first) / ((long long)(hpet() - start) * 1e-8);
}

static void set_gate(u32 number, void (*handler)(void))
{
    u16 selector;
    __asm__ volatile("mov %%cs, %0" : "=r"(selector));
    gates[number].low = (u32)handler;
    gates[number].high = (u32)handler >> 16;
    gates[number].selector = selector;
    gates[number].type = 0x8E;
}

static void take_interrupts(void)
{
    struct { u16 limit; u32 base; } __attribute__((packed)) idt = {sizeof gates - 1, (u32)gates};
    __asm__ volatile("lidt %0; sti" : : "m"(idt));
}

/* Have the timer interrupt every millisecond, and nothing else. */
static void start_timer(void)
{
    static const u8 controllers[][2] = {{0x20, 0x11}, {0xA0, 0x11}, {0x21, TIMER}, {0xA1, 0x28}, {0x21, 4},
                                        {0xA1, 2},    {0x21, 1},    {0xA1, 1},     {0x21, 0xFE}, {0xA1, 0xFF}};
    for (u32 i = 0; i < sizeof controllers / sizeof *controllers; i++)
        out(controllers[i][0], controllers[i][1]);
    out(0x43, 0x34);
    out(0x40, TIMER_HZ / 1000 & 255);
    out(0x40, TIMER_HZ / 1000 >> 8);
    set_gate(TIMER, timer_interrupt);
    set_gate(WAKE, wake_interrupt);
    take_interrupts();
}

/* Send an interrupt to all other processors. */
static void send(u32 command) { APIC[0x300 / 4] = 0xC0000 | command; }

static void start_others(void)
{
    for (const u8 *from = entry; from < entry_end; from++)
        *(volatile u8 *)(ENTRY + (from - entry)) = *from;
    send(0x4500); /* INIT */
    for (u64 end = hpet() + 1000000; hpet() < end;)
        ;
    send(0x4600 | ENTRY >> 12); /* begin there */
    while (started < cpu_count)
        ;
}

static u64 number(void)
{
    u64 value = 0;
    while (*text && (*text < '0' || *text > '9'))
        text++;
    while (*text >= '0' && *text <= '9')
        value = value * 10 + (u32)(*text++ - '0');
    return value;
}

static void read_class(struct class *c)
{
    c->base = (u32)number() * PAGE;
    c->pages = (u32)number();
    c->stride = (u32)number() * PAGE;
    c->fill = (u32)number();
    c->kind = (u32)number();
    c->cpu = (u32)number();
    c->position = c->read_position = (u32)number();
    c->writes_per_s = number() / 1e3;
    c->reads_per_s = number() / 1e3;
    c->words = (u32)number();
    c->first_word = c->words > WORDS - 16 ? 0 : 16;
    c->in_phase_s = number() / 1e6;
    c->phases = (u32)number();
    for (u32 i = 0; i < c->phases; i++) {
        c->cycle[i].duration_s = number() / 1e6;
        c->cycle[i].intensity = number() / 1e6;
    }
}

static volatile u32 *page_of(const struct class *c, u32 page) { return (volatile u32 *)(c->base + page * c->stride); }

static u32 next_content(const struct class *c, u32 *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return c->fill == ZERO ? 0 : c->fill == CONSTANT ? 0x5a5a5a5a : *state;
}

static u32 first_state(const volatile u32 *page) { return ((u32)page >> 12) * 2654435761u | 1; }

static u32 changed(u32 first, u32 word) { return first * 2246822519u + word * 3266489917u; }

static u32 is_changed(const struct class *c, u32 word) { return word - c->first_word < c->words; }

static void fill(const struct class *c)
{
    for (u32 p = 0; p < c->pages; p++) {
        volatile u32 *page = page_of(c, p);
        u32 state = first_state(page), number_of = (u32)page / PAGE;
        kept[number_of / 8] |= (u8)(1 << number_of % 8);
        if (c->fill == ZERO)
            continue;
        for (u32 word = 0; word < WORDS; word++) {
            u32 content = next_content(c, &state);
            page[word] = is_changed(c, word) ? 0 : content;
        }
    }
}

static u32 drawn(struct cpu *cpu)
{
    cpu->seed ^= cpu->seed << 13;
    cpu->seed ^= cpu->seed >> 7;
    cpu->seed ^= cpu->seed << 17;
    return (u32)(cpu->seed >> 16);
}

static u32 next_page(const struct class *c, u32 *position, struct cpu *cpu)
{
    if (c->kind == ANYWHERE)
        return (u32)(((u64)drawn(cpu) * c->pages) >> 32);
    u32 page = *position;
    if (page + 1 < c->pages)
        *position = page + 1;
    else
        *position = c->kind == SWEEP ? 0 : c->pages;
    return page;
}

/* Software emulation may not notice that a page is written which it has written before and whose address it remembers:
 * up to QEMU 8.2 it forgets to forget after a bitmap sync (mended in physmem.c of 9.0), and always when the processor
 * is held between its look at the page and the write. So the guest has it forget all pages each millisecond, and its own
 * ones before each write of a page; what counts is written twice, each time after the page was forgotten: what the
 * first write misses the second one marks. */
static void forget(volatile void *page) { __asm__ volatile("invlpg %0" : : "m"(*(volatile u32 *)page) : "memory"); }

static void forget_all(void)
{
    u32 value;
    __asm__ volatile("mov %%cr0, %0" : "=r"(value));
    __asm__ volatile("mov %0, %%cr0" : : "r"(value ^ 1 << 16) : "memory"); /* to write-protect or not: of no effect */
}

static void write_page(const struct class *c, volatile u32 *page, volatile struct cpu *cpu)
{
    page += c->first_word;
    u32 value = cpu->written + 1;
    u64 sum = cpu->sum + value - *page;
    for (int twice = 0; twice < 2; twice++) {
        forget(cpu);
        cpu->written = value;
        cpu->sum = sum;
    }
    for (int twice = 0; twice < 2; twice++) {
        forget(page);
        page[0] = value;
        for (u32 word = 1; word < c->words; word++)
            page[word] = changed(value, c->first_word + word);
    }
}

/* Return for how long at full intensity a class would do what it does in the next `elapsed_s`. */
static double at_full(struct class *c, double elapsed_s)
{
    if (!c->phases)
        return elapsed_s;
    double full_s = 0;
    while (elapsed_s > 0) {
        struct phase *now = &c->cycle[c->phase];
        double step_s = now->duration_s - c->in_phase_s;
        if (step_s > elapsed_s)
            step_s = elapsed_s;
        full_s += step_s * now->intensity;
        elapsed_s -= step_s;
        c->in_phase_s += step_s;
        if (c->in_phase_s >= now->duration_s) {
            c->in_phase_s -= now->duration_s;
            c->phase = c->phase + 1 == c->phases ? 0 : c->phase + 1;
        }
    }
    return full_s;
}

/* What a guest that runs flat out cannot do is put off, up to PAUSE_S of it. */
static void fall_due(struct class *c, double elapsed_s)
{
    double full_s = at_full(c, elapsed_s), most = c->writes_per_s * PAUSE_S;
    c->due += c->writes_per_s * full_s;
    c->reads_due += c->reads_per_s * full_s;
    if (c->due > most && most > 1)
        c->due = most;
}

/* Let the classes of a processor write what is due, or the same share each of what the capacity takes. */
static void permit(u32 cpu, double elapsed_s)
{
    double due = 0, own_per_s = 0, all_per_s = 0, awake_s = elapsed_s > AWAKE_S ? TICK_S : elapsed_s;
    for (u32 i = 0; i < count; i++) {
        all_per_s += classes[i].writes_per_s;
        if (classes[i].cpu != cpu)
            continue;
        own_per_s += classes[i].writes_per_s;
        due += classes[i].due;
    }
    double may = all_per_s > 0 ? capacity_per_s * own_per_s / all_per_s * awake_s : 0;
    for (u32 i = 0; i < count; i++) {
        struct class *c = &classes[i];
        if (c->cpu != cpu)
            continue;
        c->may = capacity_per_s > 0 && due > 0 ? c->may + c->due * may / due : c->due;
        if (c->may > c->due)
            c->may = c->due;
    }
}

/* Write what a class may, for at most TURN_S. */
static void work(struct class *c, struct cpu *cpu)
{
    u64 end = cycles() + (u64)(long long)(per_s * TURN_S);
    for (u32 done = 0; c->may >= 1 && (++done % 64 || cycles() < end); c->due -= 1, c->may -= 1) {
        forget(c);
        forget(&end); /* the stack */
        if (c->kind != GROWTH || c->position < c->pages)
            write_page(c, page_of(c, next_page(c, &c->position, cpu)), cpu);
    }
    for (; c->reads_due >= 1; c->reads_due -= 1)
        (void)*page_of(c, next_page(c, &c->read_position, cpu) % c->pages);
}

static void say(const char *letters)
{
    while (*letters)
        out(SERIAL, (u8)*letters++);
}

static void say_number(u32 value)
{
    for (int shift = 28; shift >= 0; shift -= 4)
        out(SERIAL, (u8)"0123456789abcdef"[value >> shift & 15]);
}

static u32 written(void)
{
    u32 all = 0;
    for (u32 i = 0; i < cpu_count; i++)
        all += cpus[i].written;
    return all;
}

static u32 differs(const struct class *c, const volatile u32 *page)
{
    u32 state = first_state(page), first = page[c->first_word], wrong = 0;
    for (u32 word = 0; word < WORDS; word++) {
        u32 wanted = next_content(c, &state);
        if (is_changed(c, word))
            wanted = word == c->first_word || !first ? first : changed(first, word);
        wrong |= page[word] ^ wanted;
    }
    return wrong != 0;
}

static u32 is_firmware(u32 page)
{
    u32 from_end = memory_pages - page;
    return from_end <= TABLES_PAGES || from_end - HIGH_PAGES - 1 < TABLES_PAGES;
}

static u32 wrong_zeros(void)
{
    u32 wrong = 0;
    for (u32 p = FIRST_PAGE; p < memory_pages; p++) {
        if (is_firmware(p))
            continue;
        const u32 *page = (const u32 *)(p * PAGE);
        u32 any = 0;
        for (u32 word = 0; word < WORDS && !(kept[p / 8] >> p % 8 & 1); word++)
            any |= page[word];
        wrong += any != 0;
    }
    return wrong;
}

static void check(void)
{
    u64 sum = 0;
    u32 wrong = wrong_zeros();
    for (u32 i = 0; i < count; i++)
        for (u32 p = 0; p < classes[i].pages; p++) {
            wrong += differs(&classes[i], page_of(&classes[i], p));
            sum += page_of(&classes[i], p)[classes[i].first_word];
        }
    for (u32 i = 0; i < cpu_count; i++)
        sum -= cpus[i].sum;
    say("C ");
    say_number(wrong);
    say(sum ? " 0 " : " 1 ");
    say_number(written());
    say("\n");
}

/* Do what the host asks for. */
static void obey(void)
{
    if (!(in(SERIAL + 5) & 1))
        return;
    u8 asked = in(SERIAL);
    going = asked == 'G';
    if (asked != 'C')
        return;
    for (u32 i = 1; i < cpu_count; i++)
        for (cpus[i].idle = 0; !cpus[i].idle;) {
            send(WAKE);
            __asm__ volatile("hlt");
        }
    check();
}

static void wake_others_and_report(void)
{
    static u32 turns;
    if (cpu_count > 1)
        send(WAKE);
    if (++turns % REPORT_TURNS == 0) {
        say("W");
        say_number(written());
        say("\n");
    }
}

static void live(u32 cpu)
{
    cpus[cpu].seed = 88172645463325252ULL + cpu * 2654435761ULL;
    for (u64 last = cycles();;) {
        __asm__ volatile("hlt");
        u64 now = cycles();
        double elapsed_s = (long long)(now - last) / per_s;
        last = now;
        forget_all();
        if (!cpu)
            wake_others_and_report();
        if (elapsed_s > PAUSE_S)
            elapsed_s = TICK_S;
        for (u32 i = 0; i < count && going; i++)
            if (classes[i].cpu == cpu)
                fall_due(&classes[i], elapsed_s);
        permit(cpu, elapsed_s);
        for (u32 i = 0; i < count && going; i++)
            if (classes[i].cpu == cpu)
                work(&classes[i], &cpus[cpu]);
        cpus[cpu].idle = !going;
        if (!cpu)
            obey();
    }
}

void run_other(u32 cpu)
{
    APIC[0xF0 / 4] = 0x1FF; /* enabled */
    take_interrupts();
    live(cpu);
}

void run(const u32 *loader)
{
    text = (const char *)loader[4];
    while (*text && *text != '@')
        text++;
    cpu_count = (u32)number();
    memory_pages = (u32)number();
    count = (u32)number();
    capacity_per_s = number() / 1e3;
    for (u32 i = 0; i < count; i++)
        read_class(&classes[i]);
    for (u32 i = 0; i < count; i++)
        fill(&classes[i]);
    per_s = cycles_per_s();
    start_timer();
    if (cpu_count > 1)
        start_others();
    say("READY\n");
    live(0);
}
