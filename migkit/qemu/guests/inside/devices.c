/* Keeps the disk and the network of a guest at work, and proves both: twenty times a second it writes the next block of
 * the disk past all caches and has the gateway answer an echo. At the end every block must hold what was written to it
 * last, and one more echo must be answered. */

#define _GNU_SOURCE
#include "worker.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/ip_icmp.h>
#include <sys/socket.h>

enum { BLOCK = 4096, BLOCKS = 1024, EVERY_NS = 50000000, ANSWERS_WITHIN_S = 10 };

static char block[BLOCK] __attribute__((aligned(BLOCK))), wanted[BLOCK];
static uint32_t turns, answers;
static int disk, network;

static void write_block(uint32_t turn)
{
    fill(block, BLOCK, turn % BLOCKS, turn);
    if (pwrite(disk, block, BLOCK, (off_t)(turn % BLOCKS) * BLOCK) != BLOCK)
        die("disk");
}

static unsigned short sum_of(const struct icmphdr *echo)
{
    const unsigned short *words = (const void *)echo;
    uint32_t sum = 0;
    for (size_t i = 0; i < sizeof *echo / 2; i++)
        sum += words[i];
    return (unsigned short)~((sum & 0xffff) + (sum >> 16));
}

static void send_echo(uint32_t turn)
{
    struct icmphdr echo = {.type = ICMP_ECHO, .un.echo = {htons(7), htons((uint16_t)turn)}};
    struct sockaddr_in gateway = {.sin_family = AF_INET, .sin_addr.s_addr = inet_addr("10.0.2.2")};
    echo.checksum = sum_of(&echo);
    if (sendto(network, &echo, sizeof echo, 0, (struct sockaddr *)&gateway, sizeof gateway) < 0)
        die("network");
}

/* Count the answers that are there; return whether that to a turn is among them. */
static int answered(uint32_t turn, int flags)
{
    struct { struct iphdr ip; struct icmphdr icmp; } answer;
    int found = 0;
    while (!found && recv(network, &answer, sizeof answer, flags) == sizeof answer) {
        answers += answer.icmp.type == ICMP_ECHOREPLY;
        found = answer.icmp.type == ICMP_ECHOREPLY && answer.icmp.un.echo.sequence == htons((uint16_t)turn);
    }
    return found;
}

static void check(void)
{
    uint32_t wrong = 0, written = turns < BLOCKS ? turns : BLOCKS;
    for (uint32_t turn = turns - written; turn < turns; turn++) {
        fill(wanted, BLOCK, turn % BLOCKS, turn);
        if (pread(disk, block, BLOCK, (off_t)(turn % BLOCKS) * BLOCK) != BLOCK)
            die("disk");
        wrong += memcmp(block, wanted, BLOCK) != 0;
    }
    send_echo(turns);
    wrong += !answered(turns, 0);
    printf("V %u blocks of the disk, answers of the network\nC %x 1 0\n", written, wrong);
    fflush(stdout);
}

int main(void)
{
    struct timeval patience = {.tv_sec = ANSWERS_WITHIN_S};
    disk = open("/dev/vda", O_RDWR | O_DIRECT | O_DSYNC);
    network = socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
    if (disk < 0 || network < 0 || setsockopt(network, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience))
        die("devices");
    write_block(turns);
    send_echo(turns);
    if (!answered(turns++, 0))
        die("network does not answer");
    said("READY");
    for (int64_t next_ns = INT64_MAX / 2;; next_ns += EVERY_NS) {
        char letter = asked(next_ns);
        if (letter == 'C')
            check();
        if (letter)
            next_ns = letter == 'G' ? now_ns() : INT64_MAX / 2 - EVERY_NS;
        if (letter)
            continue;
        write_block(turns);
        send_echo(turns);
        answered(turns++, MSG_DONTWAIT);
    }
}
