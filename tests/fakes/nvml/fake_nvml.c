/* A libnvidia-ml.so.1 that the real pynvml loads and believes: life cycle, system, handles, identity, memory, MIG.
 * Structures are written field by field: pynvml's own are zeroed, and sometimes wider than the driver's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake_nvml.h"

static int text(int code, const char *value, char *out, unsigned length)
{
    if (code) return code;
    if (strlen(value) >= length) return INSUFFICIENT_SIZE;
    strcpy(out, value);
    return OK;
}

/* life cycle */
int nvmlInitWithFlags(unsigned flags)
{
    char v[VALUE];
    (void)flags;
    load();
    int code = of_system("init", v);
    if (code && code != NOT_SUPPORTED) return code;
    initialised++;
    return OK;
}
int nvmlShutdown(void)
{
    if (!initialised) return UNINITIALIZED;
    initialised--;
    return OK;
}
const char *nvmlErrorString(int code)
{
    static char told[64];
    snprintf(told, sizeof told, "fake NVML error %d", code);
    return told;
}

/* system */
int nvmlSystemGetDriverVersion(char *out, unsigned length)
{
    char v[VALUE];
    fputs("a library may print what it likes, {", stdout);
    fflush(stdout);
    return text(of_system("driver", v), v, out, length);
}
int nvmlSystemGetCudaDriverVersion_v2(int *out)
{
    char v[VALUE];
    int code = of_system("cuda", v);
    if (!code) *out = atoi(v);
    return code;
}
int nvmlDeviceGetCount_v2(unsigned *out)
{
    char v[VALUE];
    int code = of_system("count", v);
    if (!code) *out = (unsigned)atoi(v);
    return code;
}

/* handles: there is one for each N of the keys gpuN, whatever sys.count says; gpuN.handle = !15 is an error for one */
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **out)
{
    char v[VALUE];
    if (!initialised) return UNINITIALIZED;
    if (index >= described()) return INVALID_ARGUMENT;
    int code = of_gpu(handle_of(index), "handle", v);
    if (code && code != NOT_SUPPORTED) return code;
    *out = handle_of(index);
    return OK;
}

/* one GPU */
int nvmlDeviceGetName(void *gpu, char *out, unsigned length) { char v[VALUE]; return text(of_gpu(gpu, "name", v), v, out, length); }
int nvmlDeviceGetUUID(void *gpu, char *out, unsigned length) { char v[VALUE]; return text(of_gpu(gpu, "uuid", v), v, out, length); }
int nvmlDeviceGetCudaComputeCapability(void *gpu, int *major, int *minor)
{
    char v[VALUE];
    int code = of_gpu(gpu, "capability", v);
    if (!code) sscanf(v, "%d.%d", major, minor);
    return code;
}
typedef struct {
    char legacy[16];
    unsigned domain, bus, device, device_id, subsystem;
    char id[32];
} pci_info;
int nvmlDeviceGetPciInfo_v3(void *gpu, pci_info *out)
{
    char v[VALUE];
    int code = of_gpu(gpu, "pci", v);
    if (code) return code;
    sscanf(v, "%x:%x:%x", &out->domain, &out->bus, &out->device);
    snprintf(out->legacy, sizeof out->legacy, "%04X:%02X:%02X.0", out->domain & 0xffff, out->bus & 0xff, out->device & 0xff);
    snprintf(out->id, sizeof out->id, "%08X:%02X:%02X.0", out->domain, out->bus & 0xff, out->device & 0xff);
    return OK;
}
typedef struct { unsigned long long total, free, used; } memory_info;
int nvmlDeviceGetMemoryInfo(void *gpu, memory_info *out)
{
    char v[VALUE];
    int code = of_gpu(gpu, "memory", v);
    if (!code) out->total = out->free = strtoull(v, NULL, 0);
    return code;
}
int nvmlDeviceGetMigMode(void *gpu, unsigned *now, unsigned *pending)
{
    char v[VALUE];
    int code = of_gpu(gpu, "mig", v);
    if (!code) *now = *pending = (unsigned)atoi(v);
    return code;
}
