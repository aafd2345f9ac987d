/* A libnvidia-ml.so.1 that the real pynvml loads and believes: life cycle, system, handles, identity, memory, modes.
 * Structures are written field by field: pynvml's own are zeroed, and sometimes wider than the driver's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "fake_nvml.h"

#define TEXT(function, key) \
    int function(void *gpu, char *out, unsigned length) { char v[VALUE]; return text(of_gpu(gpu, v, key), v, out, length); }
#define NUMBER(function, key) \
    int function(void *gpu, unsigned *out) { char v[VALUE]; return number(of_gpu(gpu, v, key), v, out); }
#define TWICE(function, key) /* a mode: now, and after the next reset */ \
    int function(void *gpu, unsigned *now, unsigned *pending) { \
        char v[VALUE]; \
        int code = of_gpu(gpu, v, key); \
        if (!code && sscanf(v, "%u,%u", now, pending) == 1) *pending = *now; \
        return code; \
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
int nvmlInit_v2(void) { return nvmlInitWithFlags(0); }
int nvmlInit(void) { return nvmlInitWithFlags(0); }
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

/* system; the version of the library itself can be had before it is initialised */
static int of_running(const char *key, char *out) { return initialised ? of_system(key, out) : UNINITIALIZED; }
int nvmlSystemGetNVMLVersion(char *out, unsigned length)
{
    char v[VALUE];
    load();
    return text(of_system("nvml", v), v, out, length);
}
int nvmlSystemGetDriverVersion(char *out, unsigned length) { char v[VALUE]; return text(of_running("driver", v), v, out, length); }
int nvmlSystemGetCudaDriverVersion_v2(int *out) { char v[VALUE]; return number(of_running("cuda", v), v, (unsigned *)out); }
int nvmlSystemGetCudaDriverVersion(int *out) { return nvmlSystemGetCudaDriverVersion_v2(out); }
int nvmlSystemGetProcessName(unsigned pid, char *out, unsigned length)
{
    char v[VALUE], key[32];
    snprintf(key, sizeof key, "process.%u", pid);
    return text(of_running(key, v), v, out, length);
}
int nvmlDeviceGetCount_v2(unsigned *out) { char v[VALUE]; return number(of_running("count", v), v, out); }

/* handles: there is one for each N of the keys gpuN, whatever sys.count says; gpuN.handle = !15 is an error for one */
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **out)
{
    char v[VALUE];
    if (!initialised) return UNINITIALIZED;
    if (index >= described()) return INVALID_ARGUMENT;
    int code = of_gpu(handle_of(index), v, "handle");
    if (code && code != NOT_SUPPORTED) return code;
    *out = handle_of(index);
    return OK;
}
static int handle_by(const char *key, const char *wanted, void **out)
{
    char v[VALUE];
    unsigned total = described();
    if (!initialised) return UNINITIALIZED;
    for (unsigned index = 0; index < total; index++)
        if (!of_gpu(handle_of(index), v, "%s", key) && !strcasecmp(v, wanted)) {
            *out = handle_of(index);
            return OK;
        }
    return NOT_FOUND;
}
int nvmlDeviceGetHandleByUUID(const char *uuid, void **out) { return handle_by("uuid", uuid, out); }
int nvmlDeviceGetHandleByPciBusId_v2(const char *bus, void **out)
{
    size_t length = strlen(bus);
    return handle_by("pci", length > 12 ? bus + length - 12 : bus, out); /* an eight-digit domain is cut to four */
}
int nvmlDeviceGetIndex(void *gpu, unsigned *out)
{
    *out = index_of(gpu);
    return initialised ? OK : UNINITIALIZED;
}
NUMBER(nvmlDeviceGetMinorNumber, "minor")

/* identity */
TEXT(nvmlDeviceGetName, "name")
TEXT(nvmlDeviceGetUUID, "uuid")
TEXT(nvmlDeviceGetSerial, "serial")
TEXT(nvmlDeviceGetVbiosVersion, "vbios")
TEXT(nvmlDeviceGetBoardPartNumber, "board")
TEXT(nvmlDeviceGetInforomImageVersion, "inforom")
NUMBER(nvmlDeviceGetBrand, "brand")
NUMBER(nvmlDeviceGetNumGpuCores, "cores")
NUMBER(nvmlDeviceGetMemoryBusWidth, "bus_width")
int nvmlDeviceGetGspFirmwareVersion(void *gpu, char *out) { char v[VALUE]; return text(of_gpu(gpu, v, "gsp"), v, out, 64); }
int nvmlDeviceGetArchitecture(void *gpu, unsigned *out)
{
    char v[VALUE];
    return driver_has(470) ? number(of_gpu(gpu, v, "architecture"), v, out) : FUNCTION_NOT_FOUND;
}
int nvmlDeviceGetCudaComputeCapability(void *gpu, int *major, int *minor)
{
    char v[VALUE];
    int code = of_gpu(gpu, v, "capability");
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
    unsigned domain, bus, device, function = 0;
    int code = of_gpu(gpu, v, "pci");
    if (code) return code;
    sscanf(v, "%x:%x:%x.%x", &domain, &bus, &device, &function);
    out->domain = domain;
    out->bus = bus;
    out->device = device;
    snprintf(out->legacy, sizeof out->legacy, "%04X:%02X:%02X.%X", domain & 0xffff, bus & 0xff, device & 0xff, function & 7);
    snprintf(out->id, sizeof out->id, "%08X:%02X:%02X.%X", domain, bus & 0xff, device & 0xff, function & 7);
    number(of_gpu(gpu, v, "pci_device_id"), v, &out->device_id);
    number(of_gpu(gpu, v, "pci_subsystem_id"), v, &out->subsystem);
    return OK;
}

/* memory */
typedef struct { unsigned long long total, free, used; } memory_info;
typedef struct { unsigned version; unsigned long long total, reserved, free, used; } memory_info_v2;
int nvmlDeviceGetMemoryInfo(void *gpu, memory_info *out)
{
    char v[VALUE];
    int code = wide(of_gpu(gpu, v, "memory"), v, &out->total);
    if (code) return code;
    wide(of_gpu(gpu, v, "memory_used"), v, &out->used);
    out->free = out->total - out->used;
    return OK;
}
int nvmlDeviceGetMemoryInfo_v2(void *gpu, memory_info_v2 *out)
{
    char v[VALUE];
    memory_info plain = {0, 0, 0};
    if (!driver_has(510)) return FUNCTION_NOT_FOUND;
    if (out->version != 0x02000028) return VERSION_MISMATCH;
    int code = nvmlDeviceGetMemoryInfo(gpu, &plain);
    if (code) return code;
    wide(of_gpu(gpu, v, "memory_reserved"), v, &out->reserved);
    out->total = plain.total;
    out->used = plain.used;
    out->free = plain.free - out->reserved;
    return OK;
}
int nvmlDeviceGetBAR1MemoryInfo(void *gpu, memory_info *out)
{
    char v[VALUE];
    int code = wide(of_gpu(gpu, v, "bar1"), v, &out->total);
    if (!code) out->free = out->total;
    return code;
}

/* modes */
NUMBER(nvmlDeviceGetPersistenceMode, "persistence")
NUMBER(nvmlDeviceGetComputeMode, "compute_mode")
NUMBER(nvmlDeviceGetDisplayMode, "display_mode")
NUMBER(nvmlDeviceGetDisplayActive, "display_active")
TWICE(nvmlDeviceGetMigMode, "mig")
TWICE(nvmlDeviceGetEccMode, "ecc")
TWICE(nvmlDeviceGetGpuOperationMode, "operation_mode")
