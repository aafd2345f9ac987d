/* Memory in the host's own, copies that are real, and a clock that runs as fast as the script says. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "fake_cuda.h"

enum { ALIGNED = 512 };

static size_t taken(const struct card *card)
{
    size_t sum = (size_t)number(card->index, "taken", 0);
    for (int at = 0; at < card->allocations; at++) sum += card->taken[at].size;
    return sum;
}

struct card *owner(uint64_t address)
{
    for (int ordinal = 0; ordinal < GPUS && physical(ordinal) >= 0; ordinal++) {
        struct card *card = card_of(ordinal);
        uint64_t arena = (uint64_t)(uintptr_t)card->arena;
        if (card->arena && address >= arena && address < arena + card->size) return card;
    }
    return NULL;
}

int cuMemGetInfo_v2(size_t *free_bytes, size_t *total)
{
    BEGIN(current());
    *total = current()->size;
    *free_bytes = *total - taken(current());
    return OK;
}

/* First fit. */
int cuMemAlloc_v2(uint64_t *address, size_t size)
{
    struct card *card = current();
    BEGIN(card);
    size_t at = 0, end = card->size - (size_t)(number(card->index, "taken", 0) + number(card->index, "hidden", 0));
    int place = 0;
    size = (size + ALIGNED - 1) / ALIGNED * ALIGNED;
    if (size == 0) return INVALID_VALUE;
    if ((double)size > number(card->index, "largest", (double)card->size)) return OUT_OF_MEMORY;
    for (; place < card->allocations && card->taken[place].at - at < size; place++)
        at = card->taken[place].at + card->taken[place].size;
    if (at + size > end || card->allocations == BLOCKS) return OUT_OF_MEMORY;
    memmove(&card->taken[place + 1], &card->taken[place], (size_t)(card->allocations - place) * sizeof card->taken[0]);
    card->taken[place].at = at;
    card->taken[place].size = size;
    card->allocations++;
    *address = (uint64_t)(uintptr_t)(card->arena + at);
    return OK;
}

int cuMemFree_v2(uint64_t address)
{
    struct card *card = owner(address);
    BEGIN(current());
    for (int place = 0; card && place < card->allocations; place++)
        if (card->arena + card->taken[place].at == (unsigned char *)(uintptr_t)address) {
            card->allocations--;
            memmove(&card->taken[place], &card->taken[place + 1],
                    (size_t)(card->allocations - place) * sizeof card->taken[0]);
            return OK;
        }
    return INVALID_VALUE;
}

int cuMemHostAlloc(void **out, size_t size, unsigned flags)
{
    (void)flags;
    BEGIN(current());
    *out = aligned_alloc(4096, (size + 4095) / 4096 * 4096);
    return *out ? OK : OUT_OF_MEMORY;
}
int cuMemFreeHost(void *memory)
{
    BEGIN(current());
    free(memory);
    return OK;
}

/* Do one copy: it takes its time on the card's clock, and what it brings may be wrong. */
static void copy(struct card *card, const char *kind, void *to, const void *from, size_t size, double usual)
{
    char key[64];
    snprintf(key, sizeof key, "wrong_copy.%s", kind);
    if (number(card->index, key, 0) >= 0) memcpy(to, from, size);
    if (row(card->index, key) && number(card->index, key, 0) >= 0 && number(card->index, key, 0) < (double)size)
        ((unsigned char *)to)[(size_t)number(card->index, key, 0)] ^= 1;
    snprintf(key, sizeof key, "gbs_later.%s", kind);
    if (card->uses < 2 || !row(card->index, key)) snprintf(key, sizeof key, "gbs.%s", kind);
    card->clock += (double)size * (strcmp(kind, "device") ? 1 : 2) / number(card->index, key, usual) / 1e9;
    struct card *target = owner((uint64_t)(uintptr_t)to);
    if (target) spoil(target, (uint64_t)(uintptr_t)to, size);
}

static void *at(uint64_t address) { return (void *)(uintptr_t)address; }

int cuMemsetD8_v2(uint64_t to, unsigned char value, size_t size)
{
    BEGIN(current());
    memset(at(to), value, size);
    return OK;
}
int cuMemcpyHtoD_v2(uint64_t to, const void *from, size_t size)
{
    BEGIN(current());
    memcpy(at(to), from, size);
    return OK;
}
int cuMemcpyDtoH_v2(void *to, uint64_t from, size_t size)
{
    BEGIN(current());
    memcpy(to, at(from), size);
    return OK;
}
int cuMemcpyHtoDAsync_v2(uint64_t to, const void *from, size_t size, void *stream)
{
    (void)stream;
    BEGIN(current());
    copy(current(), "to_device", at(to), from, size, 100);
    return OK;
}
int cuMemcpyDtoHAsync_v2(void *to, uint64_t from, size_t size, void *stream)
{
    (void)stream;
    BEGIN(current());
    copy(current(), "to_host", to, at(from), size, 100);
    return OK;
}
int cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t size, void *stream)
{
    (void)stream;
    BEGIN(current());
    copy(current(), "device", at(to), at(from), size, 10000);
    return OK;
}
int cuMemcpyPeerAsync(uint64_t to, struct card *target, uint64_t from, struct card *source, size_t size, void *stream)
{
    char kind[16];
    (void)stream;
    BEGIN(source);
    if (owner(to) != target || owner(from) != source) return INVALID_VALUE;
    snprintf(kind, sizeof kind, "peer%d", target->index);
    copy(source, kind, at(to), at(from), size, source->peers[target->index] ? 1000 : 10);
    return OK;
}

struct event { double at; };
int cuEventCreate(struct event **out, unsigned flags)
{
    (void)flags;
    BEGIN(current());
    *out = calloc(1, sizeof **out);
    return OK;
}
int cuEventDestroy_v2(struct event *event)
{
    BEGIN(current());
    free(event);
    return OK;
}
int cuEventRecord(struct event *event, void *stream)
{
    (void)stream;
    BEGIN(current());
    event->at = current()->clock;
    return OK;
}
int cuEventSynchronize(struct event *event)
{
    (void)event;
    BEGIN(current());
    return OK;
}
int cuEventElapsedTime(float *milliseconds, struct event *begin, struct event *end)
{
    BEGIN(current());
    *milliseconds = (float)((end->at - begin->at) * 1e3);
    return OK;
}
