/* The kernels of checks/workloads/kernels.ptx in C, by name. Of those that compute, only the first thread of each 1024th block
 * works through all rounds: the ones that the workload compares with the CPU. The others do one. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fake_cuda.h"

#define KERNELS(each) each("fill") each("verify") each("integers") each("floats") each("nothing")
#define NAME(name) name,
static const char *const names[] = {KERNELS(NAME)};
enum { FILL, VERIFY, INTEGERS, FLOATS, NAMES = sizeof names / sizeof *names, WHOLE = 1024 };

int cuModuleLoadDataEx(void **module, const char *text, unsigned count, const int *options, void **values)
{
    enum { LOG = 5 };
    int code = fault(current(), __func__);
    for (unsigned at = 0; code && at < count; at++)
        if (options[at] == LOG) strcpy(values[at], "ptxas application ptx input, line 9; fatal : Unsupported .version 5.0\n");
    if (code) return code;
    if (!strstr(text, ".target sm_60")) return INVALID_PTX;
    *module = (void *)text;
    return OK;
}
int cuModuleUnload(void *module)
{
    (void)module;
    BEGIN(current());
    return OK;
}
int cuModuleGetFunction(const char **function, void *module, const char *name)
{
    char entry[64];
    BEGIN(current());
    snprintf(entry, sizeof entry, ".entry %s ", name);
    for (int at = 0; at < NAMES; at++)
        if (!strcmp(names[at], name)) *function = names[at];
    return strstr(module, entry) ? OK : NOT_FOUND;
}

static uint32_t pattern(uint64_t number, uint32_t kind, uint32_t seed)
{
    if (kind == 0) return seed;
    uint32_t value = (uint32_t)number ^ (uint32_t)(number >> 32) * 0x9E3779B9u;
    if (kind == 1) return value;
    value += seed;
    value = (value ^ value >> 16) * 0x85EBCA6Bu;
    value = (value ^ value >> 13) * 0xC2B2AE35u;
    return value ^ value >> 16;
}

struct piece { uint32_t *base; uint64_t words, number; uint32_t kind, seed; };
static struct piece piece_of(void **arguments)
{
    return (struct piece){(uint32_t *)(uintptr_t) * (uint64_t *)arguments[0], *(uint64_t *)arguments[1],
                          *(uint64_t *)arguments[2], *(uint32_t *)arguments[3], *(uint32_t *)arguments[4]};
}

static void fill(struct card *card, struct piece piece)
{
    for (uint64_t at = 0; at < piece.words; at++)
        piece.base[at] = pattern(piece.number + at, piece.kind, piece.seed);
    spoil(card, (uint64_t)(uintptr_t)piece.base, piece.words * 4);
}

static void verify(struct piece piece, uint64_t *report)
{
    for (uint64_t at = 0; at < piece.words; at++) {
        uint32_t meant = pattern(piece.number + at, piece.kind, piece.seed), found = piece.base[at];
        if (found == meant) continue;
        report[0]++;
        if ((at << 32 | found) < report[1]) report[1] = at << 32 | found;
        *(uint32_t *)&report[2] |= found ^ meant;
    }
}

static uint32_t integer(uint32_t x, uint32_t rounds)
{
    while (rounds--) {
        x = x * 1664525u + 1013904223u;
        x ^= x >> 15;
        x += (uint32_t)((uint64_t)x * 0x9E3779B9u >> 32);
    }
    return x;
}

static uint32_t real(uint32_t bits, uint32_t rounds)
{
    float x;
    bits = bits * 0x9E3779B9u >> 9 | 0x3F800000u;
    memcpy(&x, &bits, 4);
    x -= 0.99999994f;
    x *= 0.99999988f;
    while (rounds--) x = fmaf(-x, x, x) * 3.99f;
    memcpy(&bits, &x, 4);
    return bits;
}

/* What has been computed before is copied: tests call for the very same thing very often. */
static void computed(uint32_t *out, int kernel, unsigned words, unsigned whole, uint32_t rounds, uint32_t seed)
{
    static struct { uint32_t *words, rounds, seed; } before[NAMES];
    if (!before[kernel].words || before[kernel].rounds != rounds || before[kernel].seed != seed) {
        before[kernel].words = realloc(before[kernel].words, words * 4);
        before[kernel].rounds = rounds;
        before[kernel].seed = seed;
        for (unsigned word = 0; word < words; word++) {
            uint32_t done = word % whole ? 1 : rounds;
            before[kernel].words[word] = kernel == INTEGERS ? integer(seed ^ word, done) : real(seed ^ word, done);
        }
    }
    memcpy(out, before[kernel].words, words * 4);
}

static void product(struct card *card, int kernel, unsigned blocks, unsigned threads, void **arguments)
{
    uint32_t *out = (uint32_t *)(uintptr_t) * (uint64_t *)arguments[0];
    uint32_t *units = (uint32_t *)(uintptr_t) * (uint64_t *)arguments[1];
    uint32_t rounds = *(uint32_t *)arguments[2], seed = *(uint32_t *)arguments[3];
    unsigned working = (unsigned)(number(card->index, "multiprocessors", 8) - number(card->index, "idle", 0));
    computed(out, kernel, blocks * threads, threads * WHOLE, rounds, seed);
    for (unsigned block = 0; block < blocks; block++) units[block] = block % working;
    int flipped = (int)number(card->index, "flip_product", -1);
    card->products++;
    if (flipped == 0 || flipped == card->products) out[(unsigned)number(card->index, "flip_at", 4321)] ^= 1u << 20;
}

int cuLaunchKernel(const char *function, unsigned x, unsigned y, unsigned z, unsigned threads, unsigned thread_y,
                   unsigned thread_z, unsigned shared, void *stream, void **arguments, void **extra)
{
    struct card *card = current();
    (void)shared, (void)stream, (void)extra;
    BEGIN(card);
    if (y * z * thread_y * thread_z != 1) return INVALID_VALUE;
    int kernel = 0;
    while (strcmp(names[kernel], function)) kernel++;
    if (kernel == FILL) fill(card, piece_of(arguments));
    if (kernel == VERIFY) verify(piece_of(arguments), (uint64_t *)(uintptr_t) * (uint64_t *)arguments[5]);
    if (kernel == INTEGERS || kernel == FLOATS) product(card, kernel, x, threads, arguments);
    if (row(card->index, "launch_us")) usleep((unsigned)number(card->index, "launch_us", 0));
    return OK;
}
