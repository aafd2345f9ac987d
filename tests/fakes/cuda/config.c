/* The text file that scripts the fake CUDA driver, named by FAKE_CUDA_CONF. N is a card's place among all:
 *
 *   devN.memory = 8388608             bytes it has (FAKE_CUDA_MEMORY, else 8 MiB)
 *   devN.taken = 1048576              bytes that somebody else holds
 *   devN.hidden = 1048576             bytes that it calls free and does not give
 *   devN.largest = 3145728            bytes of the largest piece that it still has
 *   devN.fail = cuMemAlloc_v2:2       that call returns this code; cuMemAlloc_v2:2:3 only from the third time on
 *   devN.hang = cuLaunchKernel        that call never returns
 *   devN.wrong_word = 7340032:0x10    bits that flip in the word at this place of its memory, whenever it is written
 *   devN.stuck_bits = 7340032:0x1     bits that are always 1 there
 *   devN.gbs.device = 1000            GB/s of copies within it (read and written), .to_device, .to_host, .peerM: to card M;
 *                                     without a row so fast that no floor is missed
 *   devN.gbs_later.device = 1000      the same from the second time on that a process uses the card
 *   devN.wrong_copy.peerM = 64        the byte at this place of what such a copy brings is wrong, -1: it brings nothing;
 *                                     likewise the other three
 *   devN.access.peerM = 0             it cannot reach card M
 *   devN.nvlink = 1                   it reaches the others over NVLink; devN.nvlink.peerM = 0: but not this one
 *   devN.rank.peerM = 1               how good the driver calls the way to card M: 0 is the best
 *   devN.exclusive = 1                two processes may not use it at once
 *   devN.multiprocessors = 8          devN.idle = 2: so many of them never get a block
 *   devN.flip_product = 3             the third result that a kernel computes is wrong; 0: each
 *   devN.flip_at = 4321               which word of it
 *   devN.launch_us = 500              how long a kernel takes at least, in real time
 *
 * A row may come several times. Errors from 700 on, and 214, stick to the process, as the driver's do.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fake_cuda.h"

enum { ROWS = 256, STICKY = 700, ECC_UNCORRECTABLE = 214 };

static struct { char key[64]; char value[128]; int met; } rows[ROWS];
static int row_count = -1, stuck;

static void load(void)
{
    char line[256];
    const char *path = getenv("FAKE_CUDA_CONF");
    FILE *file = path ? fopen(path, "r") : NULL;
    row_count = 0;
    while (file && row_count < ROWS && fgets(line, sizeof line, file))
        if (sscanf(line, " %63[^ =] = %127s", rows[row_count].key, rows[row_count].value) == 2) row_count++;
    if (file) fclose(file);
}

/* The row with this key that comes after `before`; -1: no more. */
static int next_row(int before, int index, const char *key)
{
    char wanted[64];
    if (row_count < 0) load();
    snprintf(wanted, sizeof wanted, "dev%d.%s", index, key);
    for (int at = before + 1; at < row_count; at++)
        if (!strcmp(rows[at].key, wanted)) return at;
    return -1;
}

const char *row(int index, const char *key)
{
    int at = next_row(-1, index, key);
    return at < 0 ? NULL : rows[at].value;
}

double number(int index, const char *key, double otherwise)
{
    const char *value = row(index, key);
    return value ? strtod(value, NULL) : otherwise;
}

int setting(const char *name, int otherwise)
{
    const char *value = getenv(name);
    return value && *value ? atoi(value) : otherwise;
}

int fault(struct card *card, const char *call)
{
    char name[64];
    int code, from;
    if (!card) return INVALID_CONTEXT;
    if (stuck) return stuck;
    for (int at = -1; (at = next_row(at, card->index, "hang")) >= 0;)
        while (!strcmp(rows[at].value, call)) pause();
    for (int at = -1; (at = next_row(at, card->index, "fail")) >= 0;) {
        from = 1;
        if (sscanf(rows[at].value, "%63[^:]:%d:%d", name, &code, &from) < 2 || strcmp(name, call)) continue;
        if (++rows[at].met < from) continue;
        if (code >= STICKY && code != ALREADY_ENABLED) stuck = code;
        if (code == ECC_UNCORRECTABLE) stuck = code;
        return code;
    }
    return OK;
}

void spoil(struct card *card, uint64_t address, size_t size)
{
    static const char *const kinds[] = {"wrong_word", "stuck_bits"};
    for (int kind = 0; kind < 2; kind++)
        for (int at = -1; (at = next_row(at, card->index, kinds[kind])) >= 0;) {
            char *colon;
            uint64_t place = (uint64_t)(uintptr_t)card->arena + strtoull(rows[at].value, &colon, 0);
            uint32_t bits = *colon == ':' ? (uint32_t)strtoul(colon + 1, NULL, 0) : 1;
            uint32_t *word = (uint32_t *)(uintptr_t)place;
            if (place < address || place + 4 > address + size) continue;
            *word = kind ? *word | bits : *word ^ bits;
        }
}
