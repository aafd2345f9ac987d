/* What the parts of the fake NVML share. The grammar of its configuration is told in config.c. */
#ifndef FAKE_NVML_H
#define FAKE_NVML_H

enum {
    OK, UNINITIALIZED, INVALID_ARGUMENT, NOT_SUPPORTED, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7, TIMEOUT = 10,
    CORRUPTED_INFOROM = 14, VERSION_MISMATCH = 25, UNKNOWN = 999
};
enum { GPUS = 64, VALUE = 1024 };

extern int initialised;

/* All return NVML codes. The value of a key goes into out (VALUE bytes). */
int of_system(const char *key, char *out);
int of_gpu(void *gpu, const char *key, char *out);
/* A reading of several parts that one function answers. "gpu0.rows = !15" is its code, and "gpu0.rows.pending = 1" a part;
 * out gets the plain value of "gpu0.rows" itself, if it has one. */
int whole_of_gpu(void *gpu, const char *reading, char *out);
/* The parts of it, which do not count as calls: 0 where there is no such part, as a number. */
int part_of_gpu(void *gpu, const char *reading, const char *part, unsigned long long *out);
/* A part that a function of its own answers: to ask for it is a call. It fails as the whole reading does. */
int text_of_gpu(void *gpu, const char *reading, const char *part, char *out);
int number_of_gpu(void *gpu, const char *reading, const char *part, unsigned *out);
int is_described(void *gpu, const char *reading, const char *part); /* part NULL: any of it */

unsigned long long number(const char *value); /* decimal, 0x..., true or false */
int text(int code, const char *value, char *out, unsigned length);
int driver(void); /* its first number: 535 */

void load(void);
void trace(const char *name);
void *handle_of(unsigned index);
unsigned index_of(void *gpu);
unsigned described(void); /* one more than the highest N of the keys gpuN */

#endif
