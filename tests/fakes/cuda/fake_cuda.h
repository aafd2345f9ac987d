/* What the parts of the fake CUDA driver share. */
#ifndef FAKE_CUDA_H
#define FAKE_CUDA_H

#include <stddef.h>
#include <stdint.h>

enum {
    OK, INVALID_VALUE, OUT_OF_MEMORY, NOT_INITIALIZED, DEVICE_UNAVAILABLE = 46, INVALID_DEVICE = 101, INVALID_CONTEXT = 201, INVALID_PTX = 218,
    NOT_FOUND = 500, ALREADY_ENABLED = 704,
};
enum { GPUS = 16, BLOCKS = 4096 };

struct card {
    int index; /* among all, whatever CUDA_VISIBLE_DEVICES says */
    int retained, uses, allocations, lock;
    unsigned char *arena; /* its memory, in the host's */
    size_t size;
    struct { size_t at, size; } taken[BLOCKS]; /* by place */
    double clock; /* seconds of work that it was given: events read it */
    int products; /* kernels that compute, so far */
    char peers[GPUS];
};

#pragma GCC visibility push(hidden)
int physical(int ordinal);                                  /* the card behind an ordinal of this process; -1: none */
struct card *card_of(int ordinal);
struct card *current(void);
struct card *owner(uint64_t address);                       /* whose memory that is; NULL: nobody's */

int setting(const char *name, int otherwise);               /* an environment variable */
const char *row(int index, const char *key);                /* dev0.KEY of FAKE_CUDA_CONF; NULL: it has none */
double number(int index, const char *key, double otherwise);
int fault(struct card *card, const char *call);             /* what `call` shall return instead of doing its work */
void spoil(struct card *card, uint64_t address, size_t size); /* after each write: what weak cells make of it */

/* Every entry: an uninitialised, spoilt or scripted driver answers before anything is done. */
#define BEGIN(card) do { int code_ = fault((card), __func__); if (code_) return code_; } while (0)

#pragma GCC visibility pop

#endif
