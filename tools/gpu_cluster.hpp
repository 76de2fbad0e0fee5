#pragma once

#include <string>
#include <vector>

#include "runtime/cuda/plugin_interface.hpp"
#include "sim/cluster.hpp"
#include "sim/profile.hpp"

namespace foreplan {

/// What a GPU offers, from what the driver tells of it.
///
///   peak = multiprocessors x clock x operations of a multiprocessor in a clock
///
/// with operations by compute capability from NVIDIA's architecture whitepapers (A100: 2020, table 1;
/// H100: 2022, table 3) and, for 10.0, from the figures of the B200's data sheet (2024) over its 148
/// multiprocessors at 1.85 GHz; a capability that is not listed counts as the one before it. Memory and
/// its bandwidth are the driver's.
DeviceSpec gpu_spec(const GpuDescription& gpu);

/// The devices that a CudaBackend makes of `gpus`: device i on GPU i modulo their number, logical where
/// they share one ("processor" names the GPU's bus).
///
/// Links come from the copies of `measured`, where it has them: each pair of devices has its latency
/// and its bandwidth from a straight line through its sizes, both ways together; a link is duplex where
/// both ways at once each went at 0.75 of their lone rate or more. Where one device copied to all
/// others no faster than to one (less than 1.5 times), its links are one port: the devices then are
/// a star around a switch. Pairs that were not measured: twice the memory's traffic within a GPU, else
/// 25 GB/s (PCIe 4.0 x16, less its overhead) and 10 us.
Cluster gpu_cluster(const std::vector<GpuDescription>& gpus, int devices, const Profile* measured);

}  // namespace foreplan
