/* Who else uses one GPU, and what happens to it.
 *
 *   gpu0.processes = 4242 compute 1100000000; 77 graphics -      pid, kind (compute, graphics, mps), bytes or "-": not told
 *   gpu0.processes =                                             nobody
 *   gpu0.processes.mps = !3                                      a code for one kind
 *   gpu0.event = 79                                              the Xid that nvmlEventSetWait tells, once
 */
#include <stdio.h>
#include <string.h>

#include "fake_nvml.h"

typedef struct { unsigned pid; unsigned long long memory; unsigned instance, compute_instance; } process;

/* Asked first without a buffer, then with one: only the first is a reading. */
static int processes(void *gpu, const char *kind, unsigned *count, process *out)
{
    static char told[VALUE];
    char list[VALUE], kept[16], memory[32], *rest = list;
    unsigned found = 0, room = *count, pid;
    if (!out) {
        int code = text_of_gpu(gpu, "processes", kind, told);
        if (code) return code;
    }
    strcpy(list, told);
    for (char *entry; (entry = strsep(&rest, ";"));) {
        if (sscanf(entry, "%u %15s %31s", &pid, kept, memory) != 3 || strcmp(kept, kind)) continue;
        if (out && found < room)
            out[found] = (process){pid, *memory == '-' ? ~0ULL : number(memory), ~0u, ~0u};
        found++;
    }
    *count = found;
    return found > room ? INSUFFICIENT_SIZE : OK;
}
int nvmlDeviceGetComputeRunningProcesses_v3(void *gpu, unsigned *count, process *out) { return processes(gpu, "compute", count, out); }
int nvmlDeviceGetComputeRunningProcesses_v2(void *gpu, unsigned *count, process *out) { return processes(gpu, "compute", count, out); }
int nvmlDeviceGetGraphicsRunningProcesses_v3(void *gpu, unsigned *count, process *out) { return processes(gpu, "graphics", count, out); }
int nvmlDeviceGetGraphicsRunningProcesses_v2(void *gpu, unsigned *count, process *out) { return processes(gpu, "graphics", count, out); }
int nvmlDeviceGetMPSComputeRunningProcesses_v3(void *gpu, unsigned *count, process *out) { return processes(gpu, "mps", count, out); }

/* events: registration is one bit for each GPU */
static unsigned long long registered;
int nvmlEventSetCreate(void **out)
{
    *out = &registered;
    return initialised ? OK : UNINITIALIZED;
}
int nvmlEventSetFree(void *set) { *(unsigned long long *)set = 0; return OK; }
int nvmlDeviceGetSupportedEventTypes(void *gpu, unsigned long long *out) { (void)gpu; *out = 0x8; return OK; }
int nvmlDeviceRegisterEvents(void *gpu, unsigned long long types, void *set)
{
    if (types & 0x8) *(unsigned long long *)set |= 1ULL << index_of(gpu); /* Xid */
    return initialised ? OK : UNINITIALIZED;
}
typedef struct { void *gpu; unsigned long long type, data; unsigned instance, compute_instance; } event;
int nvmlEventSetWait_v2(void *set, event *out, unsigned milliseconds)
{
    char v[VALUE];
    unsigned long long *waiting = set;
    (void)milliseconds;
    for (unsigned index = 0; index < described(); index++) {
        if (!(*waiting >> index & 1) || of_gpu(handle_of(index), "event", v)) continue;
        *waiting &= ~(1ULL << index);
        out->gpu = handle_of(index);
        out->type = 0x8;
        out->data = number(v);
        return OK;
    }
    return TIMEOUT;
}
