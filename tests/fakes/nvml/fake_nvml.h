/* What the parts of the fake NVML share. The grammar of its configuration is told in config.c. */
#ifndef FAKE_NVML_H
#define FAKE_NVML_H

enum { OK, UNINITIALIZED, INVALID_ARGUMENT, NOT_SUPPORTED, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7, TIMED_OUT = 10 };
enum { FUNCTION_NOT_FOUND = 13, VERSION_MISMATCH = 25, UNKNOWN = 999 };
enum { GPUS = 64, VALUE = 512 };

extern int initialised;

/* The value of a key into out (VALUE bytes); all return NVML codes. */
int of_system(const char *key, char *out);
int of_gpu(void *handle, char *out, const char *key, ...) __attribute__((format(printf, 3, 4)));

void load(void);
void trace(const char *name);
void *handle_of(unsigned index);
unsigned index_of(void *handle);
unsigned described(void); /* one more than the highest N of the keys gpuN */
int driver_has(int major); /* is sys.driver of at least this branch? */

int text(int code, const char *value, char *out, unsigned length);
int number(int code, const char *value, unsigned *out);
int wide(int code, const char *value, unsigned long long *out);

#endif
