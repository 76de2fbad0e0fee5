#include "tools/published_strategy.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "sim/error.hpp"

namespace foreplan {
namespace {

constexpr std::int64_t kMostRanks = 10'000'000;

int ranks(const std::optional<std::int64_t>& value, const char* key) {
  if (!value) reject(fmt::format("{} is not told", key));
  if (*value > kMostRanks) reject(fmt::format("{}: {} is too many", key, *value));
  return static_cast<int>(*value);
}

bool has(const std::string& text, const char* word) { return text.find(word) != std::string::npos; }

/// Adapters, whatever the case that a source writes them in.
bool has_lora(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return has(text, "lora");
}

void check_ranks(const PublishedRow& row, const Strategy& strategy) {
  const std::int64_t gpus = ranks(row.hardware.gpus, "hardware.gpus");
  const std::int64_t product = std::int64_t{strategy.dp} * strategy.tp * strategy.pp * strategy.cp;
  if (product == gpus) return;
  reject(fmt::format("parallel: dp tp pp cp is {}, hardware.gpus {}", product, gpus));
}

std::int64_t micro_batch(const PublishedRow& row, int dp) {
  const PublishedRow::Training& training = row.training;
  if (!training.global_batch) reject("training.global_batch is not told");
  const std::int64_t batch = *training.global_batch;
  const std::int64_t accumulation = training.accumulation.value_or(0);
  if (!training.micro_batch) {
    if (accumulation == 0) reject("training.micro_batch is not told");
    if (batch % (dp * accumulation) != 0) reject("training: grad_accum does not divide the batch");
    return batch / (dp * accumulation);
  }
  if (accumulation > 0 && *training.micro_batch * accumulation * dp != batch) {
    reject(fmt::format("training: micro_batch grad_accum dp is {}, global_batch {}",
                       *training.micro_batch * accumulation * dp, batch));
  }
  return *training.micro_batch;
}

/// FSDP of a told size without a stage keeps parameters between forward and backward.
int zero_stage(const PublishedRow& row, const PublishedSource& facts, const Strategy& strategy,
               std::vector<std::string>& assumed) {
  const PublishedRow::Parallel& parallel = row.parallel;
  const std::int64_t shards = parallel.fsdp_shard_size.value_or(0);
  if (shards > 1 && shards != strategy.dp && shards != std::int64_t{strategy.dp} * strategy.cp) {
    reject(
        fmt::format("parallel: parameters are shared by {} of {} replicas; foreplan has no "
                    "hybrid sharding",
                    shards, strategy.dp));
  }
  if (parallel.zero_stage) return static_cast<int>(std::min<std::int64_t>(*parallel.zero_stage, 4));
  if (shards > 1) return 2;
  if (has(row.training.optimizer, "distributed")) return 1;
  if (facts.zero > 0) assumed.push_back("zero");
  return facts.zero;
}

void check_schedule(const PublishedRow& row) {
  const std::string& text = row.parallel.schedule;
  if (has(text, "interleaved") && !row.parallel.vpp) {
    reject("parallel.vpp is not told, though the schedule is interleaved");
  }
  if (text.empty() || has(text, "1f1b") || has(text, "1F1B")) return;
  reject(fmt::format("parallel.schedule: not understood: '{}'", text));
}

std::optional<Recompute> recompute_in(const std::string& text) {
  if (text.starts_with("full")) return Recompute::full;
  if (text.starts_with("selective")) return Recompute::selective;
  if (text == "none" || has(text, "no recompute")) return Recompute::none;
  return std::nullopt;
}

}  // namespace

Strategy published_strategy(const PublishedRow& row, const PublishedSource& facts,
                            std::vector<std::string>& assumed) {
  const PublishedRow::Parallel& parallel = row.parallel;
  Strategy strategy{.dp = ranks(parallel.dp, "parallel.dp"),
                    .tp = ranks(parallel.tp, "parallel.tp"),
                    .pp = ranks(parallel.pp, "parallel.pp"),
                    .vpp = ranks(parallel.vpp.value_or(1), "parallel.vpp"),
                    .cp = ranks(parallel.cp.value_or(1), "parallel.cp"),
                    .ep = ranks(parallel.ep.value_or(1), "parallel.ep")};
  check_ranks(row, strategy);
  strategy.micro_batch = micro_batch(row, strategy.dp);
  strategy.zero = zero_stage(row, facts, strategy, assumed);
  strategy.sp = strategy.tp > 1 && parallel.sp.value_or(facts.sp);
  if (strategy.tp > 1 && !parallel.sp) assumed.push_back("sp");
  if (strategy.pp > 1) check_schedule(row);
  if (strategy.pp > 1 && !parallel.vpp) {
    assumed.push_back("vpp");
    strategy.vpp = std::max(1, facts.vpp);
  }
  return strategy;
}

std::optional<Recompute> published_recompute(const PublishedRow& row,
                                             const PublishedSource& facts) {
  if (facts.recompute_instead) return facts.recompute_instead;
  const std::optional<Recompute> told = recompute_in(row.parallel.recompute);
  return told ? told : facts.recompute;
}

DType published_precision(const PublishedRow& row) {
  std::string text = row.training.precision;
  if (text.starts_with("amp ")) text = text.substr(4);
  text = text.substr(0, text.find(" ("));
  if (text == "mxfp8") text = "fp8";
  if (const auto precision = dtype_named(text)) return *precision;
  reject(fmt::format("training.precision: foreplan has no '{}'", row.training.precision));
}

Optimizer published_optimizer(const PublishedRow& row, std::vector<std::string>& assumed) {
  const std::string& text = row.training.optimizer;
  if (has_lora(text) || has_lora(row.model.name) || has_lora(row.notes)) {
    reject("training: adapters (LoRA) are trained; foreplan trains whole networks");
  }
  if (text.empty()) assumed.push_back("optimizer");
  return has(text, "sgd") || has(text, "lars") ? Optimizer::sgd : Optimizer::adam;
}

}  // namespace foreplan
