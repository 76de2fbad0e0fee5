#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "sim/cluster_parts.hpp"
#include "sim/error.hpp"
#include "sim/json_names.hpp"

namespace foreplan {
namespace {

constexpr std::int64_t kMostMultiprocessors = 1'000'000;

template <typename Value, typename Read>
std::map<DType, Value> read_by_type(JsonObject object, const Read& read) {
  std::map<DType, Value> values;
  for (const auto& [key, value] : object.entries()) {
    const auto dtype = dtype_named(key);
    if (!dtype) reject(value.place() + ": expected fp32, tf32, fp16, bf16 or fp8, got another key");
    values[*dtype] = read(value);
  }
  return values;
}

std::map<DType, FlopRate> read_peaks(JsonObject object) {
  return read_by_type<FlopRate>(std::move(object),
                                [](const JsonValue& v) { return FlopRate{v.positive_number()}; });
}

KernelFacts read_kernels(JsonObject object) {
  KernelFacts facts;
  facts.matrix_efficiency = read_by_type<double>(object.required("matrix_efficiency").object(),
                                                 [](const JsonValue& v) { return v.share(); });
  facts.l2_bandwidth = {object.required("l2_bandwidth_bytes_per_s").positive_number()};
  if (const auto share = object.optional("misaligned_efficiency")) {
    facts.misaligned_efficiency = share->share();
  }
  facts.tile_overhead = read_seconds(object.required("tile_overhead_s"));
  facts.attention_forward_efficiency =
      object.required("attention_forward_efficiency").positive_number();
  facts.attention_backward_efficiency =
      object.required("attention_backward_efficiency").positive_number();
  facts.attention_generation =
      static_cast<int>(object.required("attention_generation").integer(1, 3));
  facts.memory_efficiency = object.required("memory_efficiency").share();
  facts.memory_ramp = read_seconds(object.required("memory_ramp_s"));
  if (const auto power = object.optional("product_power")) {
    facts.product_power = power->number(0);
  }
  facts.power_w = object.required("power_w").positive_number();
  facts.fitted_on = object.required("fitted_on").text();
  object.finish();
  return facts;
}

/// What a forecast can do without.
void read_details(JsonObject& object, DeviceSpec& spec) {
  if (const auto count = object.optional("multiprocessors")) {
    spec.multiprocessors = static_cast<std::int32_t>(count->integer(1, kMostMultiprocessors));
  }
  if (const auto size = object.optional("l2_bytes")) spec.l2 = {size->positive_integer()};
  if (const auto clock = object.optional("clock_mhz")) spec.clock_mhz = clock->positive_number();
  if (const auto rate = object.optional("link_bandwidth_bytes_per_s")) {
    spec.link_bandwidth = {rate->number(0)};
  }
  if (const auto share = object.optional("link_efficiency")) spec.link_efficiency = share->share();
  if (const auto setup = object.optional("collective_setup_s")) {
    spec.collective_setup = read_seconds(*setup);
  }
  if (const auto share = object.optional("switch_reduction_efficiency")) {
    spec.switch_reduction = share->share();
  }
  if (const auto count = object.optional("collective_multiprocessors")) {
    spec.collective_multiprocessors =
        static_cast<std::int32_t>(count->integer(1, kMostMultiprocessors));
  }
  if (const auto rate = object.optional("host_bandwidth_bytes_per_s")) {
    spec.host_bandwidth = {rate->positive_number()};
  }
  if (const auto power = object.optional("power_w")) spec.power_w = power->positive_number();
  if (const auto overhead = object.optional("launch_overhead_s")) {
    spec.launch_overhead = read_seconds(*overhead);
  }
  if (const auto kernels = object.optional("kernels")) {
    spec.kernels = read_kernels(kernels->object());
  }
  if (const auto concurrent = object.optional("concurrent_streams")) {
    spec.concurrent_streams = concurrent->boolean();
  }
}

constexpr std::array<std::string_view, 14> kSourced = {"memory_bytes",
                                                       "peak_flops_per_s",
                                                       "memory_bandwidth_bytes_per_s",
                                                       "multiprocessors",
                                                       "l2_bytes",
                                                       "clock_mhz",
                                                       "link_bandwidth_bytes_per_s",
                                                       "link_efficiency",
                                                       "collective_setup_s",
                                                       "switch_reduction_efficiency",
                                                       "collective_multiprocessors",
                                                       "host_bandwidth_bytes_per_s",
                                                       "power_w",
                                                       "launch_overhead_s"};

/// `sources`: by the key that has the number, where it is from.
void read_sources(JsonObject& object, DeviceSpec& spec) {
  const auto sources = object.optional("sources");
  if (!sources) return;
  for (const auto& [key, value] : sources->object().entries()) {
    if (std::find(kSourced.begin(), kSourced.end(), key) == kSourced.end()) {
      reject(fmt::format("{}: expected one of {}, got another key", value.place(),
                         fmt::join(kSourced, ", ")));
    }
    spec.sources[key] = value.text();
  }
}

}  // namespace

DeviceSpec read_device_keys(JsonObject& object) {
  DeviceSpec spec;
  spec.name = object.required("name").text();
  spec.memory = {object.required("memory_bytes").positive_integer()};
  spec.peak = read_peaks(object.required("peak_flops_per_s").object());
  spec.memory_bandwidth = {object.required("memory_bandwidth_bytes_per_s").positive_number()};
  read_details(object, spec);
  if (const auto source = object.optional("source")) spec.source = source->text();
  read_sources(object, spec);
  object.finish();
  return spec;
}

}  // namespace foreplan
