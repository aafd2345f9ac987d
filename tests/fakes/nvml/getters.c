/* The fake NVML's health, links, clocks, heat, power, neighbours, field values and events. Keys that depend on an
 * argument carry it after a point: clock.1, nvlink.3.state, ecc_total.0.1 (error type, counter type), field.230.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake_nvml.h"

typedef unsigned long long u64;

#define NUMBER(function, key) \
    int function(void *gpu, unsigned *out) { char v[VALUE]; return number(of_gpu(gpu, v, key), v, out); }
#define WIDE(function, key) \
    int function(void *gpu, u64 *out) { char v[VALUE]; return wide(of_gpu(gpu, v, key), v, out); }
#define BY_ONE(function, key) \
    int function(void *gpu, unsigned which, unsigned *out) { char v[VALUE]; return number(of_gpu(gpu, v, key, which), v, out); }
#define BY_PEER(function, key) \
    int function(void *gpu, void *peer, unsigned *out) { char v[VALUE]; return number(of_gpu(gpu, v, key, index_of(peer)), v, out); }
#define PAIR(function, key) \
    int function(void *gpu, unsigned *one, unsigned *two) { \
        char v[VALUE]; \
        int code = of_gpu(gpu, v, key); \
        if (!code) sscanf(v, "%u,%u", one, two); \
        return code; \
    }

/* errors of the memory */
int nvmlDeviceGetTotalEccErrors(void *gpu, unsigned error, unsigned counter, u64 *out)
{
    char v[VALUE];
    return wide(of_gpu(gpu, v, "ecc_total.%u.%u", error, counter), v, out);
}
int nvmlDeviceGetMemoryErrorCounter(void *gpu, unsigned error, unsigned counter, unsigned location, u64 *out)
{
    char v[VALUE];
    return wide(of_gpu(gpu, v, "ecc_counter.%u.%u.%u", error, counter, location), v, out);
}
typedef struct { unsigned version; u64 counts[11]; unsigned exceeded; } sram_status;
int nvmlDeviceGetSramEccErrorStatus(void *gpu, sram_status *out)
{
    char v[VALUE];
    if (out->version != 0x01000068) return VERSION_MISMATCH;
    int code = of_gpu(gpu, v, "sram"); /* up to eleven counts, in the structure's order */
    char *next = v;
    for (int count = 0; !code && count < 11 && *next; count++) {
        out->counts[count] = strtoull(next, &next, 0);
        next += *next == ',';
    }
    if (!code) number(of_gpu(gpu, v, "sram_exceeded"), v, &out->exceeded);
    return code;
}
int nvmlDeviceGetRemappedRows(void *gpu, unsigned *corrected, unsigned *uncorrected, unsigned *pending, unsigned *failed)
{
    char v[VALUE];
    if (!driver_has(450)) return FUNCTION_NOT_FOUND;
    int code = of_gpu(gpu, v, "remapped"); /* corrected,uncorrected,pending,failed */
    if (!code) sscanf(v, "%u,%u,%u,%u", corrected, uncorrected, pending, failed);
    return code;
}
int nvmlDeviceGetRowRemapperHistogram(void *gpu, unsigned out[5])
{
    char v[VALUE];
    int code = of_gpu(gpu, v, "remap_histogram"); /* max,high,partial,low,none */
    if (!code) sscanf(v, "%u,%u,%u,%u,%u", out, out + 1, out + 2, out + 3, out + 4);
    return code;
}
int nvmlDeviceGetRetiredPages(void *gpu, unsigned cause, unsigned *count, u64 *pages)
{
    char v[VALUE];
    int code = of_gpu(gpu, v, "retired.%u", cause); /* addresses: 0x1000,0x2000; empty for none */
    if (code) return code;
    unsigned room = *count, found = 0;
    for (char *word = strtok(v, ","); word; word = strtok(NULL, ","), found++)
        if (pages && found < room) pages[found] = strtoull(word, NULL, 0);
    *count = found;
    return found > room ? INSUFFICIENT_SIZE : OK;
}
NUMBER(nvmlDeviceGetRetiredPagesPendingStatus, "retired_pending")
int nvmlDeviceValidateInforom(void *gpu) { char v[VALUE]; return of_gpu(gpu, v, "inforom_valid"); }

/* PCIe and links */
NUMBER(nvmlDeviceGetCurrPcieLinkGeneration, "pcie_gen")
NUMBER(nvmlDeviceGetMaxPcieLinkGeneration, "pcie_gen_max")
NUMBER(nvmlDeviceGetCurrPcieLinkWidth, "pcie_width")
NUMBER(nvmlDeviceGetMaxPcieLinkWidth, "pcie_width_max")
NUMBER(nvmlDeviceGetPcieReplayCounter, "pcie_replay")
NUMBER(nvmlDeviceGetPcieSpeed, "pcie_speed")
BY_ONE(nvmlDeviceGetPcieThroughput, "pcie_throughput.%u")
int nvmlDeviceGetGpuMaxPcieLinkGeneration(void *gpu, unsigned *out)
{
    char v[VALUE];
    return driver_has(470) ? number(of_gpu(gpu, v, "pcie_gen_gpu_max"), v, out) : FUNCTION_NOT_FOUND;
}
BY_ONE(nvmlDeviceGetNvLinkState, "nvlink.%u.state")
BY_ONE(nvmlDeviceGetNvLinkVersion, "nvlink.%u.version")
BY_ONE(nvmlDeviceGetNvLinkRemoteDeviceType, "nvlink.%u.remote")
int nvmlDeviceGetNvLinkErrorCounter(void *gpu, unsigned link, unsigned counter, u64 *out)
{
    char v[VALUE];
    return wide(of_gpu(gpu, v, "nvlink.%u.error.%u", link, counter), v, out);
}
int nvmlDeviceGetP2PStatus(void *gpu, void *peer, unsigned kind, unsigned *out)
{
    char v[VALUE];
    return number(of_gpu(gpu, v, "p2p.%u.%u", index_of(peer), kind), v, out);
}
BY_PEER(nvmlDeviceGetTopologyCommonAncestor, "topology.%u")
typedef struct {
    unsigned version;
    unsigned char cluster[16];
    unsigned status, clique;
    unsigned char state;
    unsigned health;
    unsigned char summary; /* from version 3 on */
} fabric_info;
int nvmlDeviceGetGpuFabricInfoV(void *gpu, fabric_info *out)
{
    char v[VALUE];
    unsigned state = 0, summary = 0;
    if (out->version != 0x02000024 && out->version != 0x03000028) return VERSION_MISMATCH;
    int code = of_gpu(gpu, v, "fabric"); /* state,status,health mask,summary */
    if (code) return code;
    sscanf(v, "%u,%u,%i,%u", &state, &out->status, (int *)&out->health, &summary);
    out->state = (unsigned char)state;
    if (out->version == 0x03000028) out->summary = (unsigned char)summary;
    return OK;
}

/* clocks, heat, power */
BY_ONE(nvmlDeviceGetClockInfo, "clock.%u")
BY_ONE(nvmlDeviceGetMaxClockInfo, "clock_max.%u")
BY_ONE(nvmlDeviceGetApplicationsClock, "clock_application.%u")
BY_ONE(nvmlDeviceGetDefaultApplicationsClock, "clock_default.%u")
WIDE(nvmlDeviceGetCurrentClocksThrottleReasons, "throttle")
WIDE(nvmlDeviceGetCurrentClocksEventReasons, "throttle")
WIDE(nvmlDeviceGetSupportedClocksThrottleReasons, "throttle_supported")
WIDE(nvmlDeviceGetTotalEnergyConsumption, "energy")
int nvmlDeviceGetTemperature(void *gpu, unsigned sensor, unsigned *out)
{
    char v[VALUE];
    return sensor ? INVALID_ARGUMENT : number(of_gpu(gpu, v, "temp"), v, out);
}
int nvmlDeviceGetTemperatureV(void *gpu, unsigned out[3])
{
    return out[0] == 0x0100000c ? nvmlDeviceGetTemperature(gpu, out[1], &out[2]) : VERSION_MISMATCH;
}
int nvmlDeviceGetMarginTemperature(void *gpu, unsigned out[2])
{
    char v[VALUE];
    if (out[0] != 0x01000008) return VERSION_MISMATCH;
    return number(of_gpu(gpu, v, "temp_margin"), v, &out[1]);
}
BY_ONE(nvmlDeviceGetTemperatureThreshold, "temp_threshold.%u")
NUMBER(nvmlDeviceGetPowerUsage, "power")
NUMBER(nvmlDeviceGetPowerManagementLimit, "power_limit")
NUMBER(nvmlDeviceGetPowerManagementDefaultLimit, "power_limit_default")
NUMBER(nvmlDeviceGetEnforcedPowerLimit, "power_limit_enforced")
PAIR(nvmlDeviceGetPowerManagementLimitConstraints, "power_limit_range")
NUMBER(nvmlDeviceGetPowerState, "pstate")
NUMBER(nvmlDeviceGetPerformanceState, "pstate")
NUMBER(nvmlDeviceGetFanSpeed, "fan")
NUMBER(nvmlDeviceGetNumFans, "fans")
int nvmlDeviceGetUtilizationRates(void *gpu, unsigned out[2])
{
    char v[VALUE];
    int code = of_gpu(gpu, v, "utilization"); /* processor,memory in percent */
    if (!code) sscanf(v, "%u,%u", out, out + 1);
    return code;
}
PAIR(nvmlDeviceGetEncoderUtilization, "encoder")
PAIR(nvmlDeviceGetDecoderUtilization, "decoder")

/* neighbours: pid:bytes,pid:bytes; empty for none, bytes left out for "not available" */
typedef struct { unsigned pid; u64 memory; unsigned gpu_instance, compute_instance; } process_info;
static int processes(void *gpu, const char *kind, unsigned *count, process_info *out)
{
    char v[VALUE];
    if (!driver_has(510)) return FUNCTION_NOT_FOUND;
    int code = of_gpu(gpu, v, "processes.%s", kind);
    if (code) return code;
    unsigned room = out ? *count : 0, found = 0;
    for (char *word = strtok(v, ","); word; word = strtok(NULL, ","), found++) {
        char *bytes = strchr(word, ':');
        if (found >= room) continue;
        out[found].pid = (unsigned)atoi(word);
        out[found].memory = bytes ? strtoull(bytes + 1, NULL, 0) : ~0ULL;
        out[found].gpu_instance = out[found].compute_instance = ~0U;
    }
    *count = found;
    return found > room ? INSUFFICIENT_SIZE : OK;
}
int nvmlDeviceGetComputeRunningProcesses_v3(void *gpu, unsigned *n, process_info *out) { return processes(gpu, "compute", n, out); }
int nvmlDeviceGetGraphicsRunningProcesses_v3(void *gpu, unsigned *n, process_info *out) { return processes(gpu, "graphics", n, out); }
int nvmlDeviceGetMPSComputeRunningProcesses_v3(void *gpu, unsigned *n, process_info *out) { return processes(gpu, "mps", n, out); }

/* field values: each has a code of its own */
typedef struct { unsigned id, scope; long long timestamp, latency; unsigned type; int code; union { u64 wide; double real; } value; } field;
int nvmlDeviceGetFieldValues(void *gpu, int count, field *fields)
{
    char v[VALUE];
    if (!initialised) return UNINITIALIZED;
    for (int each = 0; each < count; each++) {
        fields[each].code = fields[each].scope ? of_gpu(gpu, v, "field.%u.%u", fields[each].id, fields[each].scope)
                                               : of_gpu(gpu, v, "field.%u", fields[each].id);
        fields[each].type = 3; /* unsigned long long */
        wide(fields[each].code, v, &fields[each].value.wide);
    }
    return OK;
}

/* events: sys.event = gpu index,type,data (for example 3,0x8,79), one for each wait; without one the wait times out */
typedef struct { void *device; u64 type, data; unsigned gpu_instance, compute_instance; } event;
int nvmlEventSetCreate(void **set)
{
    *set = handle_of(0);
    return initialised ? OK : UNINITIALIZED;
}
int nvmlEventSetFree(void *set) { return set ? OK : INVALID_ARGUMENT; }
int nvmlDeviceRegisterEvents(void *gpu, u64 types, void *set)
{
    char v[VALUE];
    int code = of_gpu(gpu, v, "events");
    return code == NOT_SUPPORTED && types && set ? OK : code;
}
WIDE(nvmlDeviceGetSupportedEventTypes, "event_types")
int nvmlEventSetWait_v2(void *set, event *out, unsigned milliseconds)
{
    char v[VALUE];
    unsigned index = 0;
    (void)set, (void)milliseconds;
    if (!initialised) return UNINITIALIZED;
    int code = of_system("event", v);
    if (code || !*v) return code && code != NOT_SUPPORTED ? code : TIMED_OUT;
    sscanf(v, "%u,%lli,%lli", &index, (long long *)&out->type, (long long *)&out->data);
    out->device = handle_of(index);
    out->gpu_instance = out->compute_instance = ~0U;
    return OK;
}
