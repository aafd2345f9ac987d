/* A libnvidia-ml.so.1 that the real pynvml loads and believes: life cycle, system, handles, identity.
 * Structures are written field by field: pynvml's own are zeroed, and sometimes wider than the driver's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake_nvml.h"

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
int nvmlSystemGetNVMLVersion(char *out, unsigned length) { char v[VALUE]; return text(of_system("nvml", v), v, out, length); }
int nvmlSystemGetProcessName(unsigned pid, char *out, unsigned length)
{
    char v[VALUE], key[32];
    snprintf(key, sizeof key, "process.%u", pid);
    int code = of_system(key, v);
    return text(code == NOT_SUPPORTED ? NOT_FOUND : code, v, out, length);
}
int nvmlSystemGetCudaDriverVersion_v2(int *out)
{
    char v[VALUE];
    int code = of_system("cuda", v);
    if (!code) *out = atoi(v);
    return code;
}
int nvmlSystemGetCudaDriverVersion(int *out) { return nvmlSystemGetCudaDriverVersion_v2(out); }
int nvmlDeviceGetCount_v2(unsigned *out)
{
    char v[VALUE];
    int code = of_system("count", v);
    if (!code) *out = (unsigned)atoi(v);
    return code;
}

/* handles: there is one for each N of the keys gpuN, whatever sys.count says; gpuN.handle = !15 is an error for one */
static int handle(unsigned index, void **out)
{
    char v[VALUE];
    int code = of_gpu(handle_of(index), "handle", v);
    if (code && code != NOT_SUPPORTED) return code;
    *out = handle_of(index);
    return OK;
}
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **out)
{
    if (!initialised) return UNINITIALIZED;
    return index < described() ? handle(index, out) : INVALID_ARGUMENT;
}
static int handle_by(const char *key, const char *wanted, void **out)
{
    char v[VALUE];
    if (!initialised) return UNINITIALIZED;
    for (unsigned index = 0; index < described(); index++) {
        if (of_gpu(handle_of(index), key, v) || !strstr(wanted, v)) continue;
        return handle(index, out);
    }
    return NOT_FOUND;
}
int nvmlDeviceGetHandleByUUID(const char *uuid, void **out) { return handle_by("uuid", uuid, out); }
int nvmlDeviceGetHandleByPciBusId_v2(const char *id, void **out) { return handle_by("pci", id, out); }
int nvmlDeviceGetIndex(void *gpu, unsigned *out)
{
    char v[VALUE];
    int code = of_gpu(gpu, "index", v);
    if (code && code != NOT_SUPPORTED) return code;
    *out = code ? index_of(gpu) : (unsigned)number(v);
    return OK;
}

/* identity */
#define TEXT(name, key) \
    int nvmlDeviceGet##name(void *gpu, char *out, unsigned length) { char v[VALUE]; return text(of_gpu(gpu, key, v), v, out, length); }
TEXT(Name, "name")
TEXT(UUID, "uuid")
TEXT(Serial, "serial")
TEXT(VbiosVersion, "vbios")
TEXT(BoardPartNumber, "board_part")
TEXT(InforomImageVersion, "inforom_image")
int nvmlDeviceGetGspFirmwareVersion(void *gpu, char *out) { char v[VALUE]; return text(of_gpu(gpu, "gsp_firmware", v), v, out, 80); }

#define NUMBER(name, key)                                \
    int nvmlDeviceGet##name(void *gpu, unsigned *out)    \
    {                                                    \
        char v[VALUE];                                   \
        int code = of_gpu(gpu, key, v);                  \
        if (!code) *out = (unsigned)number(v);           \
        return code;                                     \
    }
NUMBER(MinorNumber, "minor")
NUMBER(Brand, "brand")
NUMBER(Architecture, "architecture")
NUMBER(NumGpuCores, "cores")
NUMBER(MemoryBusWidth, "bus_width")

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
    unsigned long long device;
    int code = of_gpu(gpu, "pci", v);
    if (code) return code;
    sscanf(v, "%x:%x:%x", &out->domain, &out->bus, &out->device);
    snprintf(out->legacy, sizeof out->legacy, "%04X:%02X:%02X.0", out->domain & 0xffff, out->bus & 0xff, out->device & 0xff);
    snprintf(out->id, sizeof out->id, "%08X:%02X:%02X.0", out->domain, out->bus & 0xff, out->device & 0xff);
    code = part_of_gpu(gpu, "pci", "device_id", &device);
    out->device_id = (unsigned)device << 16 | 0x10de;
    return code;
}
