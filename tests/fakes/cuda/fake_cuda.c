/* A libcuda.so.1 that the real CUDA runtime and our own ctypes load: it answers whatever code it is told. It has cards with
 * memory, copies and kernels, in the host's memory (memory.c, kernels.c); their faults are scripted (config.c).
 *
 *   FAKE_CUDA_INIT      what cuInit returns (100, 802, 803, 804, 999 ...)
 *   FAKE_CUDA_VERSION   what cuDriverGetVersion says (12040); 10020 makes CUDA 11's runtime answer 35
 *   FAKE_CUDA_COUNT     how many GPUs there are
 *   FAKE_CUDA_UUIDS     their UUIDs, as NVML writes them, separated by commas
 *
 * CUDA_VISIBLE_DEVICES narrows them, as it does for the real one: numbers or beginnings of UUIDs up to the first that
 * names no GPU.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fake_cuda.h"

static const struct { int code; const char *name; } errors[] = {
    {1, "CUDA_ERROR_INVALID_VALUE"},
    {2, "CUDA_ERROR_OUT_OF_MEMORY"},
    {3, "CUDA_ERROR_NOT_INITIALIZED"},
    {46, "CUDA_ERROR_DEVICE_UNAVAILABLE"},
    {100, "CUDA_ERROR_NO_DEVICE"},
    {101, "CUDA_ERROR_INVALID_DEVICE"},
    {201, "CUDA_ERROR_INVALID_CONTEXT"},
    {209, "CUDA_ERROR_NO_BINARY_FOR_GPU"},
    {214, "CUDA_ERROR_ECC_UNCORRECTABLE"},
    {217, "CUDA_ERROR_PEER_ACCESS_UNSUPPORTED"},
    {218, "CUDA_ERROR_INVALID_PTX"},
    {221, "CUDA_ERROR_JIT_COMPILER_NOT_FOUND"},
    {222, "CUDA_ERROR_UNSUPPORTED_PTX_VERSION"},
    {500, "CUDA_ERROR_NOT_FOUND"},
    {700, "CUDA_ERROR_ILLEGAL_ADDRESS"},
    {702, "CUDA_ERROR_LAUNCH_TIMEOUT"},
    {704, "CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED"},
    {716, "CUDA_ERROR_MISALIGNED_ADDRESS"},
    {719, "CUDA_ERROR_LAUNCH_FAILED"},
    {802, "CUDA_ERROR_SYSTEM_NOT_READY"},
    {803, "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH"},
    {804, "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE"},
    {999, "CUDA_ERROR_UNKNOWN"},
};

/* The entry of a list between commas, or NULL. */
static const char *entry(const char *list, int number)
{
    for (; list && number > 0; number--) list = (list = strchr(list, ',')) ? list + 1 : NULL;
    return list && *list ? list : NULL;
}

/* Which of all GPUs an entry of CUDA_VISIBLE_DEVICES names; -1: none. */
static int named(const char *wanted)
{
    int total = setting("FAKE_CUDA_COUNT", 0);
    size_t length = strcspn(wanted, ",");
    for (int index = 0; index < total; index++) {
        const char *uuid = entry(getenv("FAKE_CUDA_UUIDS"), index);
        if (uuid && length > 4 && !strncmp(uuid, wanted, length)) return index;
    }
    char *end;
    long index = strtol(wanted, &end, 10);
    return end > wanted && (*end == ',' || *end == 0) && index >= 0 && index < total ? (int)index : -1;
}

/* The GPU behind an ordinal of this process; -1: there is none. */
int physical(int ordinal)
{
    const char *list = getenv("CUDA_VISIBLE_DEVICES");
    if (!list) return ordinal < setting("FAKE_CUDA_COUNT", 0) ? ordinal : -1;
    for (int before = 0; before < ordinal; before++)
        if (!entry(list, before) || named(entry(list, before)) < 0) return -1;
    return entry(list, ordinal) ? named(entry(list, ordinal)) : -1;
}

int cuInit(unsigned flags) { (void)flags; return setting("FAKE_CUDA_INIT", 0); }
int cuDriverGetVersion(int *version) { *version = setting("FAKE_CUDA_VERSION", 12040); return OK; }
int cuDeviceGetCount(int *count)
{
    for (*count = 0; physical(*count) >= 0;) ++*count;
    return OK;
}
int cuDeviceGet(int *device, int ordinal)
{
    *device = ordinal;
    return ordinal >= 0 && physical(ordinal) >= 0 ? OK : INVALID_DEVICE;
}
int cuDeviceGetPCIBusId(char *out, int length, int device)
{
    const char *list = entry(getenv("FAKE_CUDA_ADDRESSES"), physical(device));
    snprintf(out, (size_t)length, "%.*s", list ? (int)strcspn(list, ",") : 0, list ? list : "");
    return OK;
}
int cuDeviceGetName(char *out, int length, int device) { snprintf(out, (size_t)length, "Fake GPU %d", device); return OK; }

int cuGetErrorName(int code, const char **out)
{
    *out = NULL;
    for (size_t index = 0; index < sizeof errors / sizeof *errors; index++)
        if (errors[index].code == code) *out = errors[index].name;
    return *out ? OK : INVALID_VALUE;
}
int cuGetErrorString(int code, const char **out) { return cuGetErrorName(code, out); }

int cuDeviceGetUuid_v2(unsigned char *out, int device)
{
    const char *text = physical(device) < 0 ? NULL : entry(getenv("FAKE_CUDA_UUIDS"), physical(device));
    if (!text) return INVALID_DEVICE;
    memset(out, 0, 16);
    int digits = 0;
    for (text += strspn(text, "GPU-"); *text && *text != ',' && digits < 32; text++) {
        unsigned nibble;
        if (*text == '-' || sscanf((char[]){*text, 0}, "%x", &nibble) != 1) continue;
        out[digits / 2] |= (unsigned char)(digits % 2 ? nibble : nibble << 4);
        digits++;
    }
    return OK;
}
int cuDeviceGetUuid(unsigned char *out, int device) { return cuDeviceGetUuid_v2(out, device); }

static struct card cards[GPUS];
static _Thread_local struct card *in_use;

struct card *card_of(int ordinal)
{
    int index = physical(ordinal);
    if (index < 0 || index >= GPUS) return NULL;
    cards[index].index = index;
    return &cards[index];
}
struct card *current(void) { return in_use; }

int cuDevicePrimaryCtxRetain(struct card **out, int device)
{
    struct card *card = *out = card_of(device);
    if (!card) return INVALID_DEVICE;
    BEGIN(card);
    if (!card->arena) {
        card->size = (size_t)number(card->index, "memory", setting("FAKE_CUDA_MEMORY", 8 << 20));
        card->arena = mmap(NULL, card->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    }
    if (!card->retained && row(card->index, "exclusive")) {
        char path[512];
        snprintf(path, sizeof path, "%s.%d", getenv("FAKE_CUDA_CONF"), card->index);
        card->lock = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
        if (flock(card->lock, LOCK_EX | LOCK_NB)) return DEVICE_UNAVAILABLE;
    }
    card->retained++;
    card->uses++;
    return OK;
}
/* What was not freed stays taken, unlike on a real card: a leak shows. */
int cuDevicePrimaryCtxRelease_v2(int device)
{
    struct card *card = card_of(device);
    BEGIN(card);
    if (card->retained == 0) return INVALID_CONTEXT;
    if (--card->retained) return OK;
    memset(card->peers, 0, sizeof card->peers);
    if (card->lock) close(card->lock);
    card->lock = 0;
    return OK;
}
int cuCtxSetCurrent(struct card *card)
{
    in_use = card;
    BEGIN(card);
    return OK;
}
int cuCtxSynchronize(void)
{
    BEGIN(in_use);
    return OK;
}

int cuDeviceGetAttribute(int *out, int attribute, int device)
{
    enum { MULTIPROCESSORS = 16 };
    BEGIN(card_of(device));
    *out = attribute == MULTIPROCESSORS ? (int)number(physical(device), "multiprocessors", 8) : 0;
    return OK;
}

int cuDeviceCanAccessPeer(int *out, int device, int peer)
{
    char key[32];
    BEGIN(card_of(device));
    snprintf(key, sizeof key, "access.peer%d", physical(peer));
    *out = physical(device) != physical(peer) && number(physical(device), key, 1) != 0;
    return OK;
}
int cuDeviceGetP2PAttribute(int *out, int attribute, int device, int peer)
{
    enum { PERFORMANCE_RANK = 1, NATIVE_ATOMICS = 3 };
    char key[32];
    int index = physical(device);
    BEGIN(card_of(device));
    snprintf(key, sizeof key, attribute == PERFORMANCE_RANK ? "rank.peer%d" : "nvlink.peer%d", physical(peer));
    *out = 0;
    if (attribute == PERFORMANCE_RANK) *out = (int)number(index, key, 0);
    if (attribute == NATIVE_ATOMICS) *out = number(index, key, number(index, "nvlink", 0)) != 0;
    return OK;
}
int cuCtxEnablePeerAccess(struct card *peer, unsigned flags)
{
    (void)flags;
    BEGIN(in_use);
    if (in_use->peers[peer->index]) return ALREADY_ENABLED;
    in_use->peers[peer->index] = 1;
    return OK;
}

static int not_implemented(void) { return 3; }
int cuGetExportTable(const void **table, const void *id) { (void)table; (void)id; return 1; }
int cuGetProcAddress(const char *name, void **out, int version, unsigned long long flags)
{
    static const struct { const char *name; void *function; } known[] = {
        {"cuInit", cuInit}, {"cuDriverGetVersion", cuDriverGetVersion}, {"cuDeviceGetCount", cuDeviceGetCount},
        {"cuDeviceGet", cuDeviceGet}, {"cuGetErrorString", cuGetErrorString}, {"cuGetErrorName", cuGetErrorName},
        {"cuGetProcAddress", cuGetProcAddress}, {"cuGetExportTable", cuGetExportTable},
        {"cuDeviceGetUuid", cuDeviceGetUuid}, {"cuDeviceGetName", cuDeviceGetName},
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
