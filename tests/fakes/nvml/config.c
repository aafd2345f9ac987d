/* The text file that drives the fake NVML, named by FAKE_NVML_CONF:
 *
 *   sys.driver = 535.104.05       a value of the system
 *   gpu2.name = NVIDIA H100       a value of one GPU
 *   gpu2.rows.pending = true      a part of a reading that has several
 *   sys.init = !18                that NVML return code instead of a value
 *   gpu2.rows = !15               the same for a reading as a whole
 *   gpu0.pcie_replays = 0|900|!15 the first time, the second time, and from the third time on (of all processes, where
 *                                 there is a folder FAKE_NVML_CONF.reads)
 *   gpu1.memory = ~60             hang that many seconds, then answer 999
 *   gpu1.memory = @3              the same, and for so long not even SIGKILL lets the parent reap the process
 *   sys.init = ^11                die of that signal
 *   sys.exit = ~60                hang when the process that asked is about to end
 *
 * The last row of a key holds. A key that is missing answers 3 (NOT_SUPPORTED), as an old or small card does.
 * FAKE_NVML_TRACE names a file that gets a line for each key asked for and each stub called.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <unistd.h>

#include "fake_nvml.h"

enum { ROWS = 4096, KEY = 96 };

static struct { char key[KEY]; char value[VALUE]; int reads; } rows[ROWS];
static int row_count, loaded;
static char handles[GPUS];
int initialised;

void *handle_of(unsigned index) { return &handles[index]; }
unsigned index_of(void *gpu) { return (unsigned)((char *)gpu - handles); }

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
    static char line[VALUE + KEY];
    const char *path = getenv("FAKE_NVML_CONF");
    if (loaded++) return;
    FILE *file = path ? fopen(path, "r") : NULL;
    while (file && row_count < ROWS && fgets(line, sizeof line, file)) {
        char *equals = strchr(line, '=');
        if (line[0] == '#' || !equals) continue;
        *equals++ = 0;
        trim(line);
        trim(equals);
        snprintf(rows[row_count].key, KEY, "%.95s", line);
        snprintf(rows[row_count++].value, VALUE, "%.1023s", equals);
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

/* How often this row was read before. A file that grows by a byte each time counts for all processes. */
static int reads_before(int row)
{
    char path[512];
    const char *conf = getenv("FAKE_NVML_CONF");
    snprintf(path, sizeof path, "%s.reads/%s", conf ? conf : "", rows[row].key);
    int file = open(path, O_WRONLY | O_APPEND | O_CREAT, 0600);
    if (file < 0) return rows[row].reads++;
    off_t size = write(file, ".", 1) == 1 ? lseek(file, 0, SEEK_CUR) : 1;
    close(file);
    return (int)size - 1;
}

/* The entry of a sequence whose turn it is, or the value that is none. */
static void turn(int row, char *out)
{
    char *entry = rows[row].value, *bar;
    if (strchr(entry, '|'))
        for (int left = reads_before(row); left > 0 && (bar = strchr(entry, '|')); left--) entry = bar + 1;
    size_t length = strcspn(entry, "|");
    memcpy(out, entry, length);
    out[length] = 0;
    trim(out);
}

static int find(const char *key)
{
    int row = row_count - 1;
    while (row >= 0 && strcmp(rows[row].key, key)) row--;
    return row;
}

static int answer(const char *key, char *out)
{
    int row = find(key);
    *out = 0;
    if (row < 0) return NOT_SUPPORTED;
    turn(row, out);
    int amount = *out ? atoi(out + 1) : 0;
    switch (*out) {
    case '!': return amount;
    case '~': return hang(amount);
    case '@': return hang_unreaped(amount);
    case '^': raise(amount); return UNKNOWN;
    default: return OK;
    }
}

static void key_of(void *gpu, const char *reading, const char *part, char *key)
{
    snprintf(key, KEY, "gpu%u.%s%s%s", index_of(gpu), reading, part ? "." : "", part ? part : "");
}

int of_system(const char *name, char *out)
{
    char key[KEY];
    snprintf(key, sizeof key, "sys.%s", name);
    if (!initialised && strcmp(name, "init")) return UNINITIALIZED;
    trace(key);
    return answer(key, out);
}

int of_gpu(void *gpu, const char *name, char *out)
{
    char key[KEY];
    if (!initialised) return UNINITIALIZED;
    key_of(gpu, name, NULL, key);
    trace(key);
    return answer(key, out);
}

int is_described(void *gpu, const char *reading, const char *part)
{
    char key[KEY];
    key_of(gpu, reading, part, key);
    for (int row = 0; row < row_count; row++)
        if (part ? !strcmp(rows[row].key, key) : !strncmp(rows[row].key, key, strlen(key))) return 1;
    return 0;
}

int whole_of_gpu(void *gpu, const char *reading, char *out)
{
    int code = of_gpu(gpu, reading, out);
    return code == NOT_SUPPORTED && !*out && is_described(gpu, reading, NULL) ? OK : code;
}

int part_of_gpu(void *gpu, const char *reading, const char *part, unsigned long long *out)
{
    char key[KEY], value[VALUE];
    key_of(gpu, reading, part, key);
    int code = answer(key, value);
    *out = code ? 0 : number(value);
    return code == NOT_SUPPORTED && find(key) < 0 ? OK : code;
}

int text_of_gpu(void *gpu, const char *reading, const char *part, char *out)
{
    char key[KEY];
    if (!initialised) return UNINITIALIZED;
    key_of(gpu, reading, part, key);
    trace(key);
    key_of(gpu, reading, NULL, key);
    int code = answer(key, out);
    if (code && find(key) >= 0) return code;
    if (!is_described(gpu, reading, part)) return code;
    key_of(gpu, reading, part, key);
    return answer(key, out);
}

int number_of_gpu(void *gpu, const char *reading, const char *part, unsigned *out)
{
    char value[VALUE];
    int code = text_of_gpu(gpu, reading, part, value);
    if (!code) *out = (unsigned)number(value);
    return code;
}

unsigned long long number(const char *value)
{
    return strcmp(value, "true") ? strtoull(value, NULL, 0) : 1;
}

int text(int code, const char *value, char *out, unsigned length)
{
    if (code) return code;
    if (strlen(value) >= length) return INSUFFICIENT_SIZE;
    strcpy(out, value);
    return OK;
}

int driver(void)
{
    int row = find("sys.driver");
    return row < 0 ? 0 : atoi(rows[row].value);
}

__attribute__((destructor)) static void leave(void)
{
    char out[VALUE];
    of_system("exit", out);
}
