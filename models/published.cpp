#include "models/published.hpp"

#include <fmt/format.h>

#include <array>
#include <set>
#include <utility>

#include "sim/error.hpp"
#include "sim/json_reader.hpp"

namespace foreplan {
namespace {

constexpr std::int64_t kMost = 1'000'000'000'000;
constexpr std::array kTrusts{Trust::high, Trust::medium, Trust::low, Trust::analytic};

/// An object of a row, key by key; a key must be there, its value may be null.
class Fields {
 public:
  explicit Fields(const JsonValue& value) : object_(value.object()) {}

  std::string text(const char* key) {
    const JsonValue value = object_.required(key);
    return value.is_null() ? std::string() : value.text();
  }
  /// A text that must be told.
  std::string told(const char* key) {
    const JsonValue value = object_.required(key);
    const std::string text = value.text();
    if (text.empty()) value.expected("a text that is not empty");
    return text;
  }
  std::optional<std::int64_t> count(const char* key, std::int64_t least = 1) {
    const JsonValue value = object_.required(key);
    if (value.is_null()) return std::nullopt;
    return value.integer(least, kMost);
  }
  std::optional<double> number(const char* key) {
    const JsonValue value = object_.required(key);
    if (value.is_null()) return std::nullopt;
    return value.positive_number();
  }
  /// The same where some sources cut fractions off.
  std::optional<double> number_or_zero(const char* key) {
    const JsonValue value = object_.required(key);
    if (value.is_null()) return std::nullopt;
    return value.number(0);
  }
  std::optional<bool> flag(const char* key) {
    const JsonValue value = object_.required(key);
    if (value.is_null()) return std::nullopt;
    return value.boolean();
  }
  JsonValue value(const char* key) { return object_.required(key); }
  bool has(const char* key) { return object_.optional(key).has_value(); }
  /// Reads a key that need not be there.
  std::optional<std::int64_t> count_if_there(const char* key, std::int64_t least = 1) {
    return has(key) ? count(key, least) : std::nullopt;
  }
  std::optional<double> number_if_there(const char* key) {
    return has(key) ? number(key) : std::nullopt;
  }
  std::string text_if_there(const char* key) { return has(key) ? text(key) : std::string(); }
  void finish() const { object_.finish(); }

 private:
  JsonObject object_;
};

PublishedExperts read_experts(const JsonValue& value) {
  Fields fields(value);
  PublishedExperts experts{.experts = fields.count("experts"),
                           .shared_experts = fields.count("shared_experts", 0),
                           .top_k = fields.count("top_k"),
                           .features = fields.count("moe_ffn"),
                           .dense_layers = fields.count_if_there("first_dense_layers", 0),
                           .active_parameters = fields.number_if_there("active_params"),
                           .interleave = fields.text_if_there("interleave"),
                           .attention = fields.text_if_there("attention")};
  fields.finish();
  return experts;
}

PublishedRow::Model read_model_fields(const JsonValue& value) {
  Fields fields(value);
  PublishedRow::Model model{.kind = fields.told("kind"),
                            .name = fields.told("name"),
                            .parameters = fields.number("params"),
                            .layers = fields.count("layers"),
                            .hidden = fields.count("hidden"),
                            .heads = fields.count("heads"),
                            .kv_heads = fields.count("kv_heads"),
                            .head_features = fields.count("head_dim"),
                            .mlp_features = fields.count("ffn"),
                            .gated_mlp = fields.flag("gated_mlp"),
                            .vocabulary = fields.count("vocab"),
                            .sequence = fields.count("seq"),
                            .experts = {},
                            .shape_source = fields.text("shape_source")};
  const JsonValue experts = fields.value("moe");
  if (!experts.is_null()) model.experts = read_experts(experts);
  fields.finish();
  return model;
}

PublishedRow::Hardware read_hardware(const JsonValue& value) {
  Fields fields(value);
  PublishedRow::Hardware hardware{.gpu = fields.told("gpu"),
                                  .gpu_memory_gb = fields.count("gpu_memory_gb"),
                                  .gpus_per_node = fields.value("gpus_per_node").integer(1, 1024),
                                  .gpus = fields.count("gpus"),
                                  .interconnect = fields.text("interconnect")};
  fields.finish();
  return hardware;
}

PublishedRow::Training read_training(const JsonValue& value) {
  Fields fields(value);
  PublishedRow::Training training{.global_batch = fields.count("global_batch"),
                                  .micro_batch = fields.count("micro_batch"),
                                  .accumulation = fields.count("grad_accum"),
                                  .precision = fields.told("precision"),
                                  .optimizer = fields.text("optimizer")};
  fields.finish();
  return training;
}

PublishedRow::Parallel read_parallel(const JsonValue& value) {
  Fields fields(value);
  PublishedRow::Parallel parallel{.tp = fields.count("tp"),
                                  .pp = fields.count("pp"),
                                  .dp = fields.count("dp"),
                                  .cp = fields.count("cp"),
                                  .ep = fields.count("ep"),
                                  .vpp = fields.count("vpp"),
                                  .sp = fields.flag("sp"),
                                  .zero_stage = fields.count("zero_stage", 0),
                                  .fsdp_shard_size = fields.count("fsdp_shard_size", 0),
                                  .recompute = fields.text("recompute"),
                                  .schedule = fields.text("schedule")};
  fields.finish();
  return parallel;
}

PublishedRow::Measured read_measured(const JsonValue& value) {
  Fields fields(value);
  PublishedRow::Measured measured{.step_time_s = fields.number("step_time_s"),
                                  .tflops_per_gpu = fields.number("tflops_per_gpu"),
                                  .tflops_convention = fields.text("tflops_convention"),
                                  .mfu = fields.number("mfu"),
                                  .hfu = fields.number("hfu"),
                                  .tokens_per_s_per_gpu = fields.number("tokens_per_s_per_gpu"),
                                  .tokens_per_s = fields.number("tokens_per_s"),
                                  .samples_per_s = fields.number_or_zero("samples_per_s"),
                                  .memory_gb = fields.number("memory_gb"),
                                  .memory_kind = fields.text("memory_kind")};
  fields.finish();
  return measured;
}

PublishedRow::Derived read_derived(const JsonValue& value) {
  Fields fields(value);
  PublishedRow::Derived derived{
      .microbatches_per_step = fields.count_if_there("microbatches_per_step"),
      .step_time_s = fields.number_if_there("step_time_s"),
      .step_time_method = fields.text_if_there("step_time_method"),
      .model_tflops_per_gpu_full_attention =
          fields.number_if_there("model_tflops_per_gpu_full_attention"),
      .mfu_vs_dense_bf16_peak = fields.number_if_there("mfu_vs_dense_bf16_peak")};
  fields.finish();
  return derived;
}

Trust read_trust(const JsonValue& value) {
  const std::string text = value.text();
  for (const Trust trust : kTrusts) {
    if (name(trust) == text) return trust;
  }
  value.expected("\"high\", \"medium\", \"low\" or \"analytic\"");
}

bool read_recalled(const JsonValue& value) {
  const std::string text = value.text();
  if (text != "read" && text != "recalled") value.expected("\"read\" or \"recalled\"");
  return text == "recalled";
}

/// Objects of numbers that a few sources print beside the row and no forecast uses.
void check_numbers(const JsonValue& value, int levels) {
  for (const auto& [key, entry] : value.object().entries()) {
    if (levels > 1) {
      check_numbers(entry, levels - 1);
    } else {
      entry.number(0);
    }
  }
}

PublishedRow read_row(const JsonValue& value) {
  Fields fields(value);
  PublishedRow row{.id = fields.told("id"),
                   .source = fields.told("source"),
                   .recalled = read_recalled(fields.value("provenance")),
                   .source_kind = fields.text("source_kind"),
                   .trust = read_trust(fields.value("trust")),
                   .model = read_model_fields(fields.value("model")),
                   .hardware = read_hardware(fields.value("hardware")),
                   .training = read_training(fields.value("training")),
                   .parallel = read_parallel(fields.value("parallel")),
                   .measured = read_measured(fields.value("measured")),
                   .derived = {},
                   .notes = fields.text("notes"),
                   .provenance_note = fields.text_if_there("provenance_note"),
                   .regime = fields.text_if_there("regime")};
  if (fields.has("derived")) row.derived = read_derived(fields.value("derived"));
  if (fields.has("oom")) row.out_of_memory = fields.value("oom").boolean();
  for (const char* key : {"analytic_memory_gib", "layer_time_ms"}) {
    if (fields.has(key)) check_numbers(fields.value(key), 1);
  }
  if (fields.has("peak_memory_by_rank_mb")) {
    check_numbers(fields.value("peak_memory_by_rank_mb"), 2);
  }
  fields.number_if_there("analytic_activation_percent_of_tp_baseline");
  fields.finish();
  return row;
}

}  // namespace

std::string_view name(Trust trust) {
  constexpr std::array<std::string_view, 4> kNames{"high", "medium", "low", "analytic"};
  return kNames[static_cast<std::size_t>(trust)];
}

std::optional<std::int64_t> PublishedRow::measured_bytes() const {
  if (!measured.memory_gb) return std::nullopt;
  const std::string& kind = measured.memory_kind;
  const bool binary =
      kind.find("GiB") != std::string::npos || kind.find("nvidia-smi") != std::string::npos;
  constexpr double kGiB = 1 << 30, kGB = 1e9;
  return static_cast<std::int64_t>(*measured.memory_gb * (binary ? kGiB : kGB));
}

PublishedMemory PublishedRow::memory_kind() const {
  const auto says = [&](const char* word) {
    return measured.memory_kind.find(word) != std::string::npos;
  };
  if (says("nvidia-smi")) return PublishedMemory::device;
  return says("reserved") ? PublishedMemory::reserved : PublishedMemory::allocated;
}

std::vector<PublishedRow> read_published(const std::filesystem::path& path) {
  const JsonDocument document = JsonDocument::read(path);
  std::vector<PublishedRow> rows;
  std::set<std::string> ids;
  for (const JsonValue& value : document.value().array()) {
    rows.push_back(read_row(value));
    if (ids.insert(rows.back().id).second) continue;
    reject(fmt::format("{}: expected an id of its own, got \"{}\" again", value.place(),
                       rows.back().id));
  }
  return rows;
}

}  // namespace foreplan
