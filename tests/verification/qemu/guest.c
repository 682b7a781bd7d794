/* A guest whose dirtying is known: it fills its regions once, then every millisecond writes one word in as
 * many pages as its rates ask for, paced by the wall clock. A pause longer than 200 ms is not caught up.
 *
 * Its command line ends with "@FILL CLASSES", then PAGES WRITES_PER_S SWEEP of each class: numbers; FILL is 1
 * for constant content, SWEEP is 1 for a class written in address order. */

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

enum { PAGE = 4096, FIRST_REGION = 32 << 20, MOST_CLASSES = 8, SERIAL = 0x3f8, TIMER_HZ = 1193182 };
#define HPET ((volatile u32 *)0xFED00000) /* counts 100 million a second in QEMU */
#define PAUSE_S 0.2

struct class { u32 base, pages, writes_per_s, sweep, position; double due; };

extern void timer_interrupt(void);
static const char *text;
static u64 seed = 88172645463325252ULL;

static void out(u16 port, u8 value) { __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port)); }

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

/* Have the timer interrupt every millisecond, and nothing else. */
static void start_timer(void)
{
    static struct { u16 low, selector; u8 zero, type; u16 high; } __attribute__((packed)) gates[256];
    struct { u16 limit; u32 base; } __attribute__((packed)) idt = {sizeof gates - 1, (u32)gates};
    u32 at = (u32)timer_interrupt;
    u16 selector;
    __asm__ volatile("mov %%cs, %0" : "=r"(selector));
    gates[0x20].low = at;
    gates[0x20].high = at >> 16;
    gates[0x20].selector = selector;
    gates[0x20].type = 0x8E;
    __asm__ volatile("lidt %0" : : "m"(idt));
    static const u8 controllers[][2] = {{0x20, 0x11}, {0xA0, 0x11}, {0x21, 0x20}, {0xA1, 0x28}, {0x21, 4},
                                        {0xA1, 2},    {0x21, 1},    {0xA1, 1},    {0x21, 0xFE}, {0xA1, 0xFF}};
    for (u32 i = 0; i < sizeof controllers / sizeof *controllers; i++)
        out(controllers[i][0], controllers[i][1]);
    out(0x43, 0x34);
    out(0x40, TIMER_HZ / 1000 & 255);
    out(0x40, TIMER_HZ / 1000 >> 8);
    __asm__ volatile("sti");
}

static u32 drawn(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (u32)(seed >> 16);
}

static u32 number(void)
{
    u32 value = 0;
    while (*text && (*text < '0' || *text > '9'))
        text++;
    while (*text >= '0' && *text <= '9')
        value = value * 10 + (u32)(*text++ - '0');
    return value;
}

static u32 next_page(struct class *c)
{
    if (!c->sweep)
        return (u32)(((u64)drawn() * c->pages) >> 32);
    u32 page = c->position;
    c->position = page + 1 == c->pages ? 0 : page + 1;
    return page;
}

static void write_due(struct class *c, double elapsed_s)
{
    static u32 written;
    c->due += c->writes_per_s * elapsed_s;
    u32 writes = (u32)c->due;
    c->due -= writes;
    while (writes--)
        *(volatile u32 *)(c->base + next_page(c) * PAGE + 64) = ++written;
}

void run(const u32 *loader)
{
    static struct class classes[MOST_CLASSES];
    u32 end = FIRST_REGION;
    text = (const char *)loader[4];
    while (*text && *text != '@')
        text++;
    u32 constant = number(), count = number();
    for (u32 i = 0; i < count; i++) {
        classes[i] = (struct class){.base = end, .pages = number()};
        classes[i].writes_per_s = number();
        classes[i].sweep = number();
        end += classes[i].pages * PAGE;
    }
    for (u32 at = FIRST_REGION; at < end; at += 4)
        *(volatile u32 *)at = constant ? 0x5a5a5a5a : drawn();
    double per_s = cycles_per_s();
    start_timer();
    for (const char *letter = "READY\n"; *letter; letter++)
        out(SERIAL, (u8)*letter);
    for (u64 last = cycles();;) {
        __asm__ volatile("hlt");
        u64 now = cycles();
        double elapsed_s = (long long)(now - last) / per_s;
        last = now;
        for (u32 i = 0; i < count; i++)
            write_due(&classes[i], elapsed_s > PAUSE_S ? 1e-3 : elapsed_s);
    }
}
