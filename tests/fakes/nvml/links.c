/* What one GPU is connected by: PCIe, NVLink, the fabric, and the way to each other GPU. */
#include <stdio.h>

#include "fake_nvml.h"

enum { LINKS = 36 };

int nvmlDeviceGetCurrPcieLinkWidth(void *gpu, unsigned *out) { return number_of_gpu(gpu, "pcie", "width", out); }
int nvmlDeviceGetCurrPcieLinkGeneration(void *gpu, unsigned *out) { return number_of_gpu(gpu, "pcie", "generation", out); }
int nvmlDeviceGetMaxPcieLinkWidth(void *gpu, unsigned *out) { return number_of_gpu(gpu, "pcie", "max_width", out); }
int nvmlDeviceGetMaxPcieLinkGeneration(void *gpu, unsigned *out) { return number_of_gpu(gpu, "pcie", "max_generation", out); }
int nvmlDeviceGetGpuMaxPcieLinkGeneration(void *gpu, unsigned *out) { return number_of_gpu(gpu, "pcie", "card_generation", out); }
int nvmlDeviceGetPcieThroughput(void *gpu, int counter, unsigned *out)
{
    return number_of_gpu(gpu, "pcie_throughput", counter ? "received" : "sent", out);
}
int nvmlDeviceGetPcieReplayCounter(void *gpu, unsigned *out)
{
    char v[VALUE];
    int code = of_gpu(gpu, "pcie_replays", v);
    if (!code) *out = (unsigned)number(v);
    return code;
}

/* "gpu0.nvlinks.3 = true": there is a link 3, and it is active. A number that is none is another kind of wrong. */
int nvmlDeviceGetNvLinkState(void *gpu, unsigned link, unsigned *out)
{
    char part[16];
    if (link >= LINKS) return INVALID_ARGUMENT;
    snprintf(part, sizeof part, "%u", link);
    return number_of_gpu(gpu, "nvlinks", part, out);
}
int nvmlDeviceGetNvLinkVersion(void *gpu, unsigned link, unsigned *out)
{
    unsigned active;
    int code = nvmlDeviceGetNvLinkState(gpu, link, &active);
    return code ? code : number_of_gpu(gpu, "nvlink", "version", out);
}
int nvmlDeviceGetNvLinkRemoteDeviceType(void *gpu, unsigned link, unsigned *out)
{
    unsigned active;
    int code = nvmlDeviceGetNvLinkState(gpu, link, &active);
    return code ? code : number_of_gpu(gpu, "nvlink", "remote", out);
}
/* The configuration has one number for all links of a GPU: its first active link has them all. */
int nvmlDeviceGetNvLinkErrorCounter(void *gpu, unsigned link, unsigned counter, unsigned long long *out)
{
    static const char *parts[] = {"replay", "recovery", "crc_flit", "crc_data"};
    char part[16];
    unsigned long long active = 0;
    unsigned first = 0, told = 0;
    if (link >= LINKS || counter > 3) return INVALID_ARGUMENT;
    for (; first < LINKS && !active; first += !active) {
        snprintf(part, sizeof part, "%u", first);
        part_of_gpu(gpu, "nvlinks", part, &active);
    }
    *out = 0;
    if (link != first && is_described(gpu, "nvlink_errors", parts[counter])) return OK;
    int code = number_of_gpu(gpu, "nvlink_errors", parts[counter], &told);
    *out = told;
    return code;
}

typedef struct {
    unsigned version;
    unsigned char cluster[16];
    unsigned status, clique;
    unsigned char state; /* pynvml reads four bytes of it: the padding stays as it is */
    unsigned mask;
    unsigned char health; /* from the third version on */
} fabric_info;
int nvmlDeviceGetGpuFabricInfoV(void *gpu, fabric_info *out)
{
    char v[VALUE];
    unsigned long long state, status, health;
    int third = out->version == 0x03000028;
    if (!third && out->version != 0x02000024) return VERSION_MISMATCH;
    if (third && driver() < 570) return VERSION_MISMATCH;
    int code = whole_of_gpu(gpu, "fabric", v);
    if (!code) code = part_of_gpu(gpu, "fabric", "state", &state);
    if (!code) code = part_of_gpu(gpu, "fabric", "status", &status);
    if (!code) code = part_of_gpu(gpu, "fabric", "health", &health);
    if (code) return code;
    out->state = (unsigned char)state;
    out->status = (unsigned)status;
    if (third) out->health = (unsigned char)health;
    return OK;
}

static int towards(void *gpu, void *other, const char *reading, unsigned *out)
{
    char part[16];
    snprintf(part, sizeof part, "%u", index_of(other));
    return number_of_gpu(gpu, reading, part, out);
}
int nvmlDeviceGetP2PStatus(void *gpu, void *other, int kind, unsigned *out)
{
    return kind == 0 ? towards(gpu, other, "peers", out) : NOT_SUPPORTED; /* 0: may it read */
}
int nvmlDeviceGetTopologyCommonAncestor(void *gpu, void *other, unsigned *out) { return towards(gpu, other, "ancestors", out); }
