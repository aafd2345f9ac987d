/* How one GPU works: clocks, heat, power, modes, fields. */
#include <stdlib.h>

#include "fake_nvml.h"

static int plain(void *gpu, const char *key, unsigned *out)
{
    char v[VALUE];
    int code = of_gpu(gpu, key, v);
    if (!code) *out = (unsigned)number(v);
    return code;
}

/* clocks: graphics and SM are one clock here; 2 is that of the memory */
int nvmlDeviceGetClockInfo(void *gpu, int clock, unsigned *out) { return number_of_gpu(gpu, "clocks", clock == 2 ? "memory" : "sm", out); }
int nvmlDeviceGetMaxClockInfo(void *gpu, int clock, unsigned *out) { return number_of_gpu(gpu, "clocks", clock == 2 ? "max_memory" : "max_sm", out); }
int nvmlDeviceGetApplicationsClock(void *gpu, int clock, unsigned *out)
{
    return number_of_gpu(gpu, "application_clocks", clock == 2 ? "memory" : "graphics", out);
}
int nvmlDeviceGetDefaultApplicationsClock(void *gpu, int clock, unsigned *out)
{
    return number_of_gpu(gpu, "application_clocks", clock == 2 ? "default_memory" : "default_graphics", out);
}
int nvmlDeviceGetCurrentClocksEventReasons(void *gpu, unsigned long long *out)
{
    char v[VALUE];
    int code = of_gpu(gpu, "throttle_reasons", v);
    if (!code) *out = number(v);
    return code;
}
int nvmlDeviceGetCurrentClocksThrottleReasons(void *gpu, unsigned long long *out)
{
    return nvmlDeviceGetCurrentClocksEventReasons(gpu, out);
}

/* heat */
int nvmlDeviceGetTemperature(void *gpu, int sensor, unsigned *out) { return sensor ? INVALID_ARGUMENT : plain(gpu, "temperature", out); }
typedef struct { unsigned version, sensor; int temperature; } temperature_v1;
int nvmlDeviceGetTemperatureV(void *gpu, temperature_v1 *out)
{
    unsigned told;
    if (out->version != 0x0100000c) return VERSION_MISMATCH;
    int code = nvmlDeviceGetTemperature(gpu, (int)out->sensor, &told);
    if (!code) out->temperature = (int)told;
    return code;
}
int nvmlDeviceGetTemperatureThreshold(void *gpu, unsigned kind, unsigned *out)
{
    static const char *parts[] = {"shutdown", "slowdown", "memory_max", "gpu_max"};
    return kind < 4 ? number_of_gpu(gpu, "temperature_limits", parts[kind], out) : NOT_SUPPORTED;
}
typedef struct { unsigned version; int margin; } margin_v1;
int nvmlDeviceGetMarginTemperature(void *gpu, margin_v1 *out)
{
    unsigned told;
    if (out->version != 0x01000008) return VERSION_MISMATCH;
    int code = plain(gpu, "margin_temperature", &told);
    if (!code) out->margin = (int)told;
    return code;
}

/* power: watts in the configuration, with decimals; milliwatts here */
static int power(void *gpu, const char *part, unsigned *out)
{
    char v[VALUE];
    int code = text_of_gpu(gpu, "power", part, v);
    if (!code) *out = (unsigned)(strtod(v, NULL) * 1000 + 0.5);
    return code;
}
int nvmlDeviceGetPowerUsage(void *gpu, unsigned *out) { return power(gpu, "draw_w", out); }
int nvmlDeviceGetEnforcedPowerLimit(void *gpu, unsigned *out) { return power(gpu, "enforced_w", out); }
int nvmlDeviceGetPowerManagementLimit(void *gpu, unsigned *out) { return power(gpu, "enforced_w", out); }
int nvmlDeviceGetPowerManagementDefaultLimit(void *gpu, unsigned *out) { return power(gpu, "default_w", out); }
int nvmlDeviceGetPowerManagementLimitConstraints(void *gpu, unsigned *least, unsigned *most)
{
    int code = power(gpu, "min_w", least);
    return code ? code : power(gpu, "max_w", most);
}
int nvmlDeviceGetPerformanceState(void *gpu, unsigned *out) { return plain(gpu, "performance_state", out); }
int nvmlDeviceGetFanSpeed(void *gpu, unsigned *out) { return plain(gpu, "fan_speed", out); }
int nvmlDeviceGetUtilizationRates(void *gpu, unsigned *out)
{
    int code = number_of_gpu(gpu, "utilization", "gpu", &out[0]);
    return code ? code : number_of_gpu(gpu, "utilization", "memory", &out[1]);
}

/* modes */
int nvmlDeviceGetPersistenceMode(void *gpu, unsigned *out) { return plain(gpu, "persistence", out); }
int nvmlDeviceGetComputeMode(void *gpu, unsigned *out) { return plain(gpu, "compute_mode", out); }
int nvmlDeviceGetDisplayActive(void *gpu, unsigned *out) { return number_of_gpu(gpu, "display", "active", out); }
int nvmlDeviceGetDisplayMode(void *gpu, unsigned *out) { return number_of_gpu(gpu, "display", "mode", out); }

/* fields: each has a code of its own */
typedef struct {
    unsigned id, scope;
    long long timestamp, latency;
    unsigned type;
    int code;
    union { double real; unsigned word; unsigned long long wide; } value;
} field_value;
static int field(void *gpu, unsigned id, unsigned *out)
{
    switch (id) {
    case 82: return plain(gpu, "memory_temperature", out);
    case 230: return driver() < 570 ? NOT_SUPPORTED : plain(gpu, "recovery_action", out);
    default: return NOT_SUPPORTED;
    }
}
int nvmlDeviceGetFieldValues(void *gpu, int count, field_value *values)
{
    if (!initialised) return UNINITIALIZED;
    for (int number = 0; number < count; number++) {
        unsigned told = 0;
        values[number].code = field(gpu, values[number].id, &told);
        values[number].type = 1; /* unsigned int */
        values[number].value.word = told;
    }
    return OK;
}
