/* The text file that drives the fake NVML, named by FAKE_NVML_CONF:
 *
 *   sys.driver = 535.104.05       a value of the system
 *   gpu2.name = NVIDIA H100       a value of one GPU
 *   sys.init = !18                that NVML return code instead of a value
 *   gpu1.memory = ~60             hang that many seconds, then answer 999
 *   gpu1.memory = @3              the same, and for so long not even SIGKILL lets the parent reap the process
 *   sys.init = ^11                die of that signal
 *   sys.exit = ~60                hang when the process that asked is about to end
 *
 * A key that is missing answers 3 (NOT_SUPPORTED), as an old or small card does. FAKE_NVML_TRACE names a file that gets
 * a line for each key asked for and each stub called.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <unistd.h>

#include "fake_nvml.h"

enum { ROWS = 1024 };

static struct { char key[64]; char value[VALUE]; } rows[ROWS];
static int row_count, loaded;
static char handles[GPUS];
int initialised;

void *handle_of(unsigned index) { return &handles[index]; }

unsigned described(void)
{
    unsigned index, total = 0;
    for (int row = 0; row < row_count; row++)
        if (sscanf(rows[row].key, "gpu%u.", &index) == 1 && index < GPUS && index >= total) total = index + 1;
    return total;
}

static void trim(char *word)
{
    size_t end = strlen(word);
    while (end && strchr(" \t\r\n", word[end - 1])) word[--end] = 0;
    size_t start = strspn(word, " \t");
    memmove(word, word + start, end - start + 1);
}

void load(void)
{
    char line[VALUE + 64];
    const char *path = getenv("FAKE_NVML_CONF");
    if (loaded++) return;
    FILE *file = path ? fopen(path, "r") : NULL;
    while (file && row_count < ROWS && fgets(line, sizeof line, file)) {
        char *equals = strchr(line, '=');
        if (line[0] == '#' || !equals) continue;
        *equals++ = 0;
        trim(line);
        trim(equals);
        snprintf(rows[row_count].key, sizeof rows[0].key, "%.63s", line);
        snprintf(rows[row_count++].value, sizeof rows[0].value, "%.511s", equals);
    }
    if (file) fclose(file);
}

void trace(const char *name)
{
    const char *path = getenv("FAKE_NVML_TRACE");
    FILE *file = path ? fopen(path, "a") : NULL;
    if (!file) return;
    fprintf(file, "%s\n", name);
    fclose(file);
}

static int hang(int seconds)
{
    while (seconds > 0) seconds = (int)sleep((unsigned)seconds); /* a signal must not end the hang */
    return UNKNOWN;
}

/* A dead process that another one traces stays unreaped for its parent, as one in D state does. */
static int hang_unreaped(int seconds)
{
    pid_t me = getpid();
    int ready[2];
    char byte;
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
    if (pipe(ready) == 0 && fork() == 0) {
        setsid();
        for (int fd = 0; fd < 256; fd++)
            if (fd != ready[1]) close(fd);
        if (ptrace(PTRACE_SEIZE, me, 0, 0) == 0 && write(ready[1], "", 1) == 1) hang(seconds);
        _exit(0);
    }
    return read(ready[0], &byte, 1) == 1 ? hang(seconds + 60) : UNKNOWN;
}

static int answer(const char *key, char *out)
{
    trace(key);
    for (int row = 0; row < row_count; row++) {
        if (strcmp(rows[row].key, key)) continue;
        strcpy(out, rows[row].value);
        int amount = *out ? atoi(out + 1) : 0;
        switch (*out) {
        case '!': return amount;
        case '~': return hang(amount);
        case '@': return hang_unreaped(amount);
        case '^': raise(amount); return UNKNOWN;
        default: return OK;
        }
    }
    return NOT_SUPPORTED;
}

int of_system(const char *name, char *out)
{
    char key[64];
    snprintf(key, sizeof key, "sys.%s", name);
    return initialised || !strcmp(name, "init") ? answer(key, out) : UNINITIALIZED;
}

int of_gpu(void *handle, const char *name, char *out)
{
    char key[64];
    if (!initialised) return UNINITIALIZED;
    snprintf(key, sizeof key, "gpu%u.%s", (unsigned)((char *)handle - handles), name);
    return answer(key, out);
}

__attribute__((destructor)) static void leave(void)
{
    char out[VALUE];
    of_system("exit", out);
}
