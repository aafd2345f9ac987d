/* A libcuda.so.1 that the real CUDA runtime and our own ctypes probe load: it answers whatever code it is told.
 *
 *   FAKE_CUDA_INIT      what cuInit returns (100, 802, 803, 804, 999 ...)
 *   FAKE_CUDA_VERSION   what cuDriverGetVersion says (12040); 10020 makes CUDA 11's runtime answer 35
 *   FAKE_CUDA_COUNT     how many GPUs there are
 *   FAKE_CUDA_UUIDS     their UUIDs, as NVML writes them, separated by commas
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int setting(const char *name, int otherwise)
{
    const char *value = getenv(name);
    return value ? atoi(value) : otherwise;
}

int cuInit(unsigned flags) { (void)flags; return setting("FAKE_CUDA_INIT", 0); }
int cuDriverGetVersion(int *version) { *version = setting("FAKE_CUDA_VERSION", 12040); return 0; }
int cuDeviceGetCount(int *count) { *count = setting("FAKE_CUDA_COUNT", 0); return setting("FAKE_CUDA_COUNT_CODE", 0); }
int cuDeviceGet(int *device, int ordinal) { *device = ordinal; return 0; }
int cuGetErrorString(int code, const char **out) { (void)code; *out = "fake"; return 0; }
int cuGetErrorName(int code, const char **out) { (void)code; *out = "FAKE"; return 0; }

int cuDeviceGetUuid_v2(unsigned char *out, int device)
{
    const char *list = getenv("FAKE_CUDA_UUIDS");
    for (; list && device > 0; device--) list = (list = strchr(list, ',')) ? list + 1 : NULL;
    if (!list) return 101;
    memset(out, 0, 16);
    int digits = 0;
    for (list += strspn(list, "GPU-"); *list && *list != ',' && digits < 32; list++) {
        unsigned nibble;
        if (*list == '-' || sscanf((char[]){*list, 0}, "%x", &nibble) != 1) continue;
        out[digits / 2] |= (unsigned char)(digits % 2 ? nibble : nibble << 4);
        digits++;
    }
    return 0;
}
int cuDeviceGetUuid(unsigned char *out, int device) { return cuDeviceGetUuid_v2(out, device); }

static int not_implemented(void) { return setting("FAKE_CUDA_OTHER", 3); }
int cuGetExportTable(const void **table, const void *id) { (void)table; (void)id; return 1; }
int cuGetProcAddress(const char *name, void **out, int version, unsigned long long flags)
{
    static const struct { const char *name; void *function; } known[] = {
        {"cuInit", cuInit}, {"cuDriverGetVersion", cuDriverGetVersion}, {"cuDeviceGetCount", cuDeviceGetCount},
        {"cuDeviceGet", cuDeviceGet}, {"cuGetErrorString", cuGetErrorString}, {"cuGetErrorName", cuGetErrorName},
        {"cuGetProcAddress", cuGetProcAddress}, {"cuGetExportTable", cuGetExportTable},
        {"cuDeviceGetUuid", cuDeviceGetUuid},
    };
    (void)version; (void)flags;
    *out = not_implemented;
    for (size_t index = 0; index < sizeof known / sizeof *known; index++)
        if (!strcmp(known[index].name, name)) *out = known[index].function;
    return 0;
}
int cuGetProcAddress_v2(const char *name, void **out, int version, unsigned long long flags, void *status)
{
    (void)status;
    return cuGetProcAddress(name, out, version, flags);
}
