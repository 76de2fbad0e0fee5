#include "planner/strategy.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <numeric>

#include "planner/partition.hpp"
#include "planner/pipeline_schedule.hpp"
#include "planner/sharding.hpp"
#include "sim/error.hpp"
#include "sim/json_text.hpp"

namespace foreplan {
namespace {

constexpr std::string_view kKeys =
    "dp, tp, pp, vpp, cp, ep, bp, order, micro_batch, zero, sp, recompute, recompute_layers, "
    "offload, replication, schedule, split_from, layers";

constexpr std::size_t kMostCharacters = 1000;  ///< of a key and its value

std::int64_t parse_integer(std::string_view key, std::string_view value, std::int64_t least) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  const bool whole = error == std::errc{} && end == value.data() + value.size();
  if (!whole || number < least || number > 1'000'000'000) {
    reject(fmt::format("strategy: {}: expected a whole number >= {}, got '{}'", key, least, value));
  }
  return number;
}

bool parse_flag(std::string_view key, std::string_view value) {
  if (value != "0" && value != "1") {
    reject(fmt::format("strategy: {}: expected 0 or 1, got '{}'", key, value));
  }
  return value == "1";
}

std::vector<int> parse_layers(std::string_view value) {
  std::vector<int> layers;
  for (std::size_t begin = 0; begin <= value.size();) {
    const std::size_t end = std::min(value.find('+', begin), value.size());
    layers.push_back(
        static_cast<int>(parse_integer("layers", value.substr(begin, end - begin), 1)));
    begin = end + 1;
  }
  return layers;
}

/// The one of `kinds` that `value` names.
template <typename Kinds>
typename Kinds::value_type parse_kind(std::string_view key, std::string_view value,
                                      const Kinds& kinds) {
  std::vector<std::string_view> names;
  for (const auto kind : kinds) {
    if (value == name(kind)) return kind;
    names.push_back(name(kind));
  }
  reject(fmt::format("strategy: {}: expected one of {}, got '{}'", key, fmt::join(names, ", "),
                     value));
}

using SizeKey = std::pair<std::string_view, int Strategy::*>;
constexpr std::array<SizeKey, 7> kSizeKeys{{{"dp", &Strategy::dp},
                                            {"tp", &Strategy::tp},
                                            {"pp", &Strategy::pp},
                                            {"vpp", &Strategy::vpp},
                                            {"cp", &Strategy::cp},
                                            {"ep", &Strategy::ep},
                                            {"bp", &Strategy::bp}}};

void set(Strategy& strategy, std::string_view key, std::string_view value) {
  for (const auto& [size, member] : kSizeKeys) {
    if (key == size) {
      strategy.*member = static_cast<int>(parse_integer(key, value, 1));
      return;
    }
  }
  if (key == "order") {
    strategy.order = parse_rank_order(value);
  } else if (key == "micro_batch") {
    strategy.micro_batch = parse_integer(key, value, 1);
  } else if (key == "zero") {
    strategy.zero = static_cast<int>(parse_integer(key, value, 0));
  } else if (key == "sp") {
    strategy.sp = parse_flag(key, value);
  } else if (key == "recompute") {
    strategy.recompute = parse_kind(key, value, kRecomputes);
  } else if (key == "recompute_layers") {
    strategy.recompute_layers = static_cast<int>(parse_integer(key, value, 0));
  } else if (key == "offload") {
    strategy.offload = parse_kind(key, value, kOffloads);
  } else if (key == "replication") {
    strategy.replication = parse_kind(key, value, kReplications);
  } else if (key == "schedule") {
    strategy.schedule = parse_kind(key, value, kSchedules);
  } else if (key == "split_from") {
    strategy.split_from = static_cast<int>(parse_integer(key, value, 0));
  } else if (key == "layers") {
    strategy.layers = parse_layers(value);
  } else {
    reject(fmt::format("strategy: unknown key '{}', expected one of {}", key, kKeys));
  }
}

/// What stands in the way of lowering a strategy to tasks that run.
std::optional<std::string> not_lowered(const Strategy& strategy) {
  if (strategy.schedule == Schedule::dualpipe) return "schedule=dualpipe (two copies of the model)";
  if (strategy.cp != 1) return "cp > 1 (context parallelism)";
  if (strategy.ep != 1) return "ep > 1 (expert parallelism)";
  if (strategy.bp != 1) return "bp > 1 (branches on devices of their own)";
  if (strategy.split_from != 0) return "split_from (a split by layers)";
  if (strategy.zero != 0) return "zero > 0 (sharded data parallelism)";
  if (strategy.sp) return "sp=1 (sequence parallelism)";
  if (strategy.recompute != Recompute::none) return "recompute";
  if (strategy.offload != Offload::none) return "offload";
  if (strategy.replication != Replication::ddp) return "replication=dataparallel";
  return std::nullopt;
}

void check_supported(const Strategy& strategy) {
  if (const auto what = not_lowered(strategy)) {
    reject(fmt::format("strategy: {} can be forecast, but not yet run", *what));
  }
}

void check_devices(const Strategy& strategy, int devices) {
  // A double: the product may need more than 64 bits.
  double needed = 1;
  for (const auto& [key, member] : kSizeKeys) {
    const int size = strategy.*member;
    if (size < 1) reject(fmt::format("strategy: {}: expected >= 1, got {}", key, size));
    if (member != &Strategy::vpp) needed *= size;  // a stage's chunks share its device
  }
  check(strategy.order);
  if (needed > devices) {
    reject(fmt::format("strategy: {} needs {:.0f} devices, the cluster has {}", format(strategy),
                       needed, devices));
  }
}

/// @param parts  virtual stages that the model is cut into
void check_stages(const Strategy& strategy, int parts, const OpGraph& model) {
  const int layers = static_cast<int>(model.size()) - 1;
  const std::string chunks =
      parts == strategy.pp ? "" : fmt::format(" of {} chunks", parts / strategy.pp);
  if (parts > layers) {
    reject(fmt::format("strategy: pp={} stages{}, but {} has only {} layers", strategy.pp, chunks,
                       model.name(), layers));
  }
  if (strategy.layers.empty()) return;
  if (static_cast<int>(strategy.layers.size()) != parts) {
    reject(fmt::format("strategy: layers={} tells {} stages, expected pp={}{}",
                       fmt::join(strategy.layers, "+"), strategy.layers.size(), strategy.pp,
                       chunks));
  }
  for (const int count : strategy.layers) {
    if (count < 1) reject(fmt::format("strategy: layers: expected >= 1, got {}", count));
  }
  const std::int64_t total =
      std::accumulate(strategy.layers.begin(), strategy.layers.end(), std::int64_t{0});
  if (total != layers) {
    reject(fmt::format("strategy: layers={} adds up to {}, but {} has {} layers",
                       fmt::join(strategy.layers, "+"), total, model.name(), layers));
  }
  check_cuts(model, strategy.layers);
}

}  // namespace

std::string_view name(Schedule schedule) {
  switch (schedule) {
    case Schedule::gpipe:
      return "gpipe";
    case Schedule::one_f_one_b:
      return "1f1b";
    case Schedule::interleaved:
      return "interleaved";
    case Schedule::zb_h1:
      return "zb-h1";
    case Schedule::zb_h2:
      return "zb-h2";
    case Schedule::zb_v:
      return "zb-v";
    case Schedule::dualpipe:
      return "dualpipe";
  }
  return "?";
}

std::string_view name(Offload offload) {
  switch (offload) {
    case Offload::none:
      return "none";
    case Offload::optimizer:
      return "optimizer";
    case Offload::activations:
      return "activations";
    case Offload::all:
      return "all";
  }
  return "?";
}

std::string_view name(Replication replication) {
  return replication == Replication::ddp ? "ddp" : "dataparallel";
}

std::string_view name(Recompute recompute) {
  switch (recompute) {
    case Recompute::none:
      return "none";
    case Recompute::selective:
      return "selective";
    case Recompute::full:
      return "full";
  }
  return "?";
}

Strategy parse_strategy(std::string_view text) {
  Strategy strategy;
  std::vector<std::string_view> seen;
  for (std::size_t begin = 0; !text.empty() && begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const std::string_view part = text.substr(begin, end - begin);
    if (printable(part, kMostCharacters) != part) {
      reject(
          fmt::format("strategy: expected key=value of at most {} printable characters, got '{}'",
                      kMostCharacters, printable(part, 60)));
    }
    const std::size_t equals = part.find('=');
    if (equals == std::string_view::npos) {
      reject(fmt::format("strategy: expected key=value, got '{}'", part));
    }
    const std::string_view key = part.substr(0, equals);
    if (std::find(seen.begin(), seen.end(), key) != seen.end()) {
      reject(fmt::format("strategy: '{}' is given twice", key));
    }
    seen.push_back(key);
    set(strategy, key, part.substr(equals + 1));
    begin = end + 1;
  }
  return strategy;
}

std::string format(const Strategy& strategy) {
  std::vector<std::string> parts;
  for (const auto& [key, member] : kSizeKeys) {
    if (strategy.*member != 1) parts.push_back(fmt::format("{}={}", key, strategy.*member));
  }
  if (strategy.order != RankOrder{}) parts.push_back("order=" + format(strategy.order));
  if (strategy.micro_batch) parts.push_back(fmt::format("micro_batch={}", *strategy.micro_batch));
  if (strategy.zero != 0) parts.push_back(fmt::format("zero={}", strategy.zero));
  if (strategy.sp) parts.emplace_back("sp=1");
  if (strategy.recompute != Recompute::none) {
    parts.push_back(fmt::format("recompute={}", name(strategy.recompute)));
  }
  if (strategy.recompute_layers) {
    parts.push_back(fmt::format("recompute_layers={}", *strategy.recompute_layers));
  }
  if (strategy.offload != Offload::none) {
    parts.push_back(fmt::format("offload={}", name(strategy.offload)));
  }
  if (strategy.replication != Replication::ddp) {
    parts.push_back(fmt::format("replication={}", name(strategy.replication)));
  }
  if (strategy.pp > 1) parts.push_back(fmt::format("schedule={}", name(strategy.schedule)));
  if (strategy.split_from != 0) {
    parts.push_back(fmt::format("split_from={}", strategy.split_from));
  }
  if (strategy.layers.size() > 1) {
    parts.push_back(fmt::format("layers={}", fmt::join(strategy.layers, "+")));
  }
  return parts.empty() ? "dp=1" : fmt::format("{}", fmt::join(parts, ","));
}

BatchSplit split_batch(const Strategy& strategy, std::int64_t global_batch) {
  if (global_batch < 1) reject(fmt::format("global batch: expected >= 1, got {}", global_batch));
  if (global_batch > kMostGlobalBatch) {
    reject(
        fmt::format("global batch: expected at most {}, got {}", kMostGlobalBatch, global_batch));
  }
  if (strategy.dp < 1 || global_batch % strategy.dp != 0) {
    reject(fmt::format("strategy: dp={} does not divide the global batch of {}", strategy.dp,
                       global_batch));
  }
  const std::int64_t share = global_batch / strategy.dp;
  const std::int64_t micro_batch = strategy.micro_batch.value_or(share);
  if (micro_batch < 1 || share % micro_batch != 0) {
    reject(fmt::format("strategy: micro_batch={} does not divide the {} samples of a rank",
                       micro_batch, share));
  }
  if (share / micro_batch > kMostMicroBatches) {
    reject(
        fmt::format("strategy: micro_batch={} cuts the {} samples of a rank into {}, expected at "
                    "most {}",
                    micro_batch, share, share / micro_batch, kMostMicroBatches));
  }
  return {.share = share, .micro_batch = micro_batch, .micro_batches = share / micro_batch};
}

bool can_run(const Strategy& strategy) { return !not_lowered(strategy); }

void check(const Strategy& strategy, const OpGraph& model, int devices, std::int64_t global_batch) {
  require_executable(model);
  check_supported(strategy);
  check_devices(strategy, devices);
  const BatchSplit batch = split_batch(strategy, global_batch);
  const PipelineShape shape = pipeline_shape(strategy, static_cast<int>(batch.micro_batches));
  check_stages(strategy, shape.virtual_stages(), model);
  shard(model, strategy.tp);
}

}  // namespace foreplan
