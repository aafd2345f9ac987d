/* Memory of one GPU: its size, its errors, and what became of the bad rows and pages. */
#include <stdlib.h>

#include "fake_nvml.h"

/* A plain "gpu0.memory = 85899345920" is all of it, and free. */
static int memory(void *gpu, unsigned long long *told)
{
    static const char *parts[] = {"total", "reserved", "used", "free"};
    char v[VALUE];
    int code = whole_of_gpu(gpu, "memory", v);
    for (int part = 0; !code && part < 4; part++) code = part_of_gpu(gpu, "memory", parts[part], &told[part]);
    if (!code && *v) told[0] = told[3] = number(v);
    return code;
}
typedef struct { unsigned long long total, free, used; } memory_info;
int nvmlDeviceGetMemoryInfo(void *gpu, memory_info *out)
{
    unsigned long long told[4];
    int code = memory(gpu, told);
    if (code) return code;
    out->total = told[0];
    out->used = told[1] + told[2]; /* the old structure counts what the driver keeps for itself as used */
    out->free = told[3];
    return OK;
}
typedef struct { unsigned version; unsigned long long total, reserved, free, used; } memory_info_v2;
int nvmlDeviceGetMemoryInfo_v2(void *gpu, memory_info_v2 *out)
{
    unsigned long long told[4];
    if (out->version != 0x02000028) return VERSION_MISMATCH;
    int code = memory(gpu, told);
    if (code) return code;
    out->total = told[0];
    out->reserved = told[1];
    out->used = told[2];
    out->free = told[3];
    return OK;
}

/* Two modes: the current one, and the one that waits for a reset. A plain value is both. */
static int modes(void *gpu, const char *reading, unsigned *now, unsigned *pending)
{
    char v[VALUE];
    unsigned long long current, waiting;
    int code = whole_of_gpu(gpu, reading, v);
    if (!code) code = part_of_gpu(gpu, reading, "current", &current);
    if (!code) code = part_of_gpu(gpu, reading, "pending", &waiting);
    if (code) return code;
    *now = *v ? (unsigned)number(v) : (unsigned)current;
    *pending = *v ? (unsigned)number(v) : (unsigned)waiting;
    return OK;
}
int nvmlDeviceGetEccMode(void *gpu, unsigned *now, unsigned *pending) { return modes(gpu, "ecc_mode", now, pending); }
int nvmlDeviceGetMigMode(void *gpu, unsigned *now, unsigned *pending) { return modes(gpu, "mig", now, pending); }

static int counter(void *gpu, const char *key, unsigned long long *out)
{
    char v[VALUE];
    int code = of_gpu(gpu, key, v);
    if (!code) *out = number(v);
    return code;
}
int nvmlDeviceGetTotalEccErrors(void *gpu, int type, int kind, unsigned long long *out)
{
    static const char *keys[2][2] = {
        {"ecc_corrected", "ecc_corrected_aggregate"},
        {"ecc_uncorrected", "ecc_uncorrected_aggregate"},
    };
    if (type < 0 || type > 1 || kind < 0 || kind > 1) return INVALID_ARGUMENT;
    return counter(gpu, keys[type][kind], out);
}
/* Of all places and kinds only what the caches had in the life of the card. */
int nvmlDeviceGetMemoryErrorCounter(void *gpu, int type, int kind, int location, unsigned long long *out)
{
    char v[VALUE];
    if (type != 1 || kind != 1 || location != 7) return NOT_SUPPORTED;
    int code = whole_of_gpu(gpu, "ecc_sram", v);
    return code ? code : part_of_gpu(gpu, "ecc_sram", "uncorrected", out);
}
typedef struct {
    unsigned version;
    unsigned long long aggregate_parity, aggregate_secded, aggregate_corrected;
    unsigned long long volatile_parity, volatile_secded, volatile_corrected;
    unsigned long long l2, sm, pcie, mcu, other;
    unsigned threshold_exceeded;
} sram_status;
int nvmlDeviceGetSramEccErrorStatus(void *gpu, sram_status *out)
{
    char v[VALUE];
    unsigned long long total, exceeded;
    if (out->version != 0x01000068) return VERSION_MISMATCH;
    int code = whole_of_gpu(gpu, "ecc_sram", v);
    if (!code) code = part_of_gpu(gpu, "ecc_sram", "uncorrected", &total);
    if (!code) code = part_of_gpu(gpu, "ecc_sram", "threshold_exceeded", &exceeded);
    if (code) return code;
    out->aggregate_parity = total / 2;
    out->aggregate_secded = total - total / 2;
    out->threshold_exceeded = (unsigned)exceeded;
    return OK;
}

int nvmlDeviceGetRemappedRows(void *gpu, unsigned *corrected, unsigned *uncorrected, unsigned *pending, unsigned *failed)
{
    static const char *parts[] = {"corrected", "uncorrected", "pending", "failed"};
    unsigned *out[] = {corrected, uncorrected, pending, failed};
    char v[VALUE];
    unsigned long long told;
    int code = whole_of_gpu(gpu, "rows", v);
    for (int part = 0; !code && part < 4; part++) {
        code = part_of_gpu(gpu, "rows", parts[part], &told);
        *out[part] = (unsigned)told;
    }
    return code;
}
int nvmlDeviceGetRowRemapperHistogram(void *gpu, unsigned *out)
{
    static const char *parts[] = {"max", "high", "partial", "low", "none"};
    char v[VALUE];
    unsigned long long told;
    int code = whole_of_gpu(gpu, "row_banks", v);
    for (int part = 0; !code && part < 5; part++) {
        code = part_of_gpu(gpu, "row_banks", parts[part], &told);
        out[part] = (unsigned)told;
    }
    return code;
}

/* Asked first without a buffer, then with one: only the first is a reading. */
int nvmlDeviceGetRetiredPages(void *gpu, int cause, unsigned *count, unsigned long long *pages)
{
    static unsigned told[2];
    if (cause < 0 || cause > 1) return INVALID_ARGUMENT;
    if (!pages) {
        int code = number_of_gpu(gpu, "retired_pages", cause ? "double" : "single", &told[cause]);
        if (code) return code;
    }
    unsigned room = *count;
    *count = told[cause];
    if (room < told[cause] || (!pages && told[cause])) return INSUFFICIENT_SIZE;
    for (unsigned page = 0; pages && page < told[cause]; page++) pages[page] = (page + 1) << 16;
    return OK;
}
int nvmlDeviceGetRetiredPagesPendingStatus(void *gpu, unsigned *out) { return number_of_gpu(gpu, "retired_pages", "pending", out); }

/* "gpu0.inforom = true": sound; "false": error 14 */
int nvmlDeviceValidateInforom(void *gpu)
{
    char v[VALUE];
    int code = of_gpu(gpu, "inforom", v);
    return code || number(v) ? code : CORRUPTED_INFOROM;
}
