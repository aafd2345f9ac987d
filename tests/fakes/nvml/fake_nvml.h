/* What the parts of the fake NVML share. The grammar of its configuration is told in config.c. */
#ifndef FAKE_NVML_H
#define FAKE_NVML_H

enum { OK, UNINITIALIZED, INVALID_ARGUMENT, NOT_SUPPORTED, INSUFFICIENT_SIZE = 7, UNKNOWN = 999 };
enum { GPUS = 64, VALUE = 512 };

extern int initialised;

/* The value of a key into out (VALUE bytes); all return NVML codes. */
int of_system(const char *key, char *out);
int of_gpu(void *handle, const char *key, char *out);

void load(void);
void trace(const char *name);
void *handle_of(unsigned index);
unsigned described(void); /* one more than the highest N of the keys gpuN */

#endif
