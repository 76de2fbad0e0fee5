#include "tools/published_summary.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "tools/rank_correlation.hpp"

namespace foreplan {
namespace {

using RowList = std::vector<const PublishedForecast*>;
/// Shares of the peak by the name that they are taken over.
using Shares = std::map<std::string, double>;

bool counts(const PublishedForecast& row) { return row.row.trust != Trust::low; }

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

/// The share of each kind of device: the median of its sources' medians, so that a source of a thousand
/// small runs counts as any other. "": of all devices together.
Shares device_shares(const std::vector<PublishedForecast>& rows) {
  std::map<std::string, std::map<std::string, std::vector<double>>> by_source;
  for (const PublishedForecast& row : rows) {
    const auto mfu = row.measured_mfu();
    if (mfu && counts(row) && row.fit) by_source[row.device][row.source].push_back(*mfu);
  }
  Shares shares;
  std::vector<double> all;
  for (auto& [device, sources] : by_source) {
    std::vector<double> medians;
    for (auto& [source, values] : sources) medians.push_back(median(std::move(values)));
    shares[device] = median(std::move(medians));
    all.push_back(shares[device]);
  }
  if (!all.empty()) shares[""] = median(std::move(all));
  return shares;
}

template <typename Key>
Shares median_shares(const std::vector<PublishedForecast>& rows, bool only_fit, Key key) {
  std::map<std::string, std::vector<double>> shares;
  for (const PublishedForecast& row : rows) {
    const auto mfu = row.measured_mfu();
    if (mfu && counts(row) && (row.fit || !only_fit)) shares[key(row)].push_back(*mfu);
  }
  Shares medians;
  for (auto& [name, values] : shares) medians[name] = median(std::move(values));
  return medians;
}

const std::string& device_of(const PublishedForecast& row) { return row.device; }
const std::string& source_of(const PublishedForecast& row) { return row.source; }

/// A row's naive time is its FLOPs at a share of the peak: measured MFU over that share, of the measured.
/// A name that has no share takes that of "". Empty unless all rows have a share.
template <typename Key>
std::optional<double> naive_mape(const RowList& rows, const Shares& shares, Key key) {
  double sum = 0;
  for (const PublishedForecast* row : rows) {
    auto share = shares.find(key(*row));
    if (share == shares.end()) share = shares.find("");
    const auto mfu = row->measured_mfu();
    if (share == shares.end() || !mfu) return std::nullopt;
    sum += std::abs(*mfu / share->second - 1);
  }
  if (rows.empty()) return std::nullopt;
  return sum / static_cast<double>(rows.size());
}

void add_times(const RowList& timed, PublishedSummary& summary) {
  summary.rows = std::ssize(timed);
  std::vector<double> forecast, measured;
  for (const PublishedForecast* row : timed) {
    const double error = *row->error();
    summary.mape += std::abs(error) / static_cast<double>(timed.size());
    summary.bias += error / static_cast<double>(timed.size());
    summary.max = std::max(summary.max, std::abs(error));
    forecast.push_back(seconds(row->estimate.step_time));
    measured.push_back(*row->measured_s());
  }
  summary.spearman = spearman(forecast, measured);
}

/// RowList of one key differ in their layout only.
std::string choice_key(const PublishedForecast& row) {
  const PublishedRow& r = row.row;
  return fmt::format("{}/{}/{}/{}/{}/{}/{}/{}", row.source, r.model.name,
                     r.model.layers.value_or(0), r.model.sequence.value_or(0), r.hardware.gpu,
                     r.hardware.gpus.value_or(0), r.training.global_batch.value_or(0),
                     r.training.precision);
}

bool several_layouts(const RowList& rows) {
  return std::any_of(rows.begin(), rows.end(), [&](const PublishedForecast* row) {
    return row->estimate.strategy != rows.front()->estimate.strategy;
  });
}

/// Of equal forecasts the first row is chosen.
double regret_of(const RowList& rows) {
  const auto chosen = std::min_element(rows.begin(), rows.end(), [](const auto* a, const auto* b) {
    return a->estimate.step_time < b->estimate.step_time;
  });
  const auto best = std::min_element(rows.begin(), rows.end(), [](const auto* a, const auto* b) {
    return *a->measured_s() < *b->measured_s();
  });
  return *(*chosen)->measured_s() / *(*best)->measured_s() - 1;
}

void add_choices(const RowList& timed, PublishedSummary& summary) {
  std::map<std::string, RowList> sets;
  for (const PublishedForecast* row : timed) sets[choice_key(*row)].push_back(row);
  double sum = 0;
  for (const auto& [key, rows] : sets) {
    if (!several_layouts(rows)) continue;
    const double regret = regret_of(rows);
    ++summary.choices;
    sum += regret;
    summary.max_regret = std::max(summary.max_regret, regret);
  }
  if (summary.choices > 0) summary.regret = sum / static_cast<double>(summary.choices);
}

/// Rows of one key differ in data parallelism and the batch that grows with it.
std::string scaling_key(const PublishedForecast& row) {
  Strategy strategy = row.estimate.strategy;
  strategy.dp = 1;
  const PublishedRow& r = row.row;
  return fmt::format("{}/{}/{}/{}/{}/{}/{}", row.source, r.model.name, r.model.layers.value_or(0),
                     r.model.sequence.value_or(0), r.hardware.gpu, r.training.precision,
                     format(strategy));
}

void add_speedups(const RowList& timed, PublishedSummary& summary) {
  std::map<std::string, RowList> sets;
  for (const PublishedForecast* row : timed) sets[scaling_key(*row)].push_back(row);
  double sum = 0;
  for (auto& [key, rows] : sets) {
    std::stable_sort(rows.begin(), rows.end(), [](const auto* a, const auto* b) {
      return a->estimate.strategy.dp < b->estimate.strategy.dp;
    });
    const PublishedForecast& first = *rows.front();
    for (const PublishedForecast* row : rows) {
      if (row->estimate.strategy.dp == first.estimate.strategy.dp) continue;
      // Batches cancel: what is left is how much longer a step takes, forecast over measured.
      sum += std::abs((1 + *first.error()) / (1 + *row->error()) - 1);
      ++summary.speedups;
    }
  }
  if (summary.speedups > 0) summary.speedup_mape = sum / static_cast<double>(summary.speedups);
}

/// Otherwise recomputation was chosen so that it fits.
bool tells_recomputation(const PublishedForecast& row) {
  return std::find(row.assumed.begin(), row.assumed.end(), "recompute") == row.assumed.end();
}

void add_memory(const RowList& rows, PublishedSummary& summary) {
  double sum = 0, bias = 0;
  for (const PublishedForecast* row : rows) {
    if (row->row.out_of_memory) {
      ++summary.out_of_memory;
      if (row->right_about_memory()) ++summary.right_out_of_memory;
    } else if (row->memory_told && tells_recomputation(*row) && !row->estimate.feasible) {
      ++summary.wrongly_refused;
    }
    const auto error = row->memory_error();
    if (!error) continue;
    ++summary.memory_rows;
    sum += std::abs(*error);
    bias += *error;
  }
  if (summary.memory_rows == 0) return;
  summary.memory_mape = sum / static_cast<double>(summary.memory_rows);
  summary.memory_bias = bias / static_cast<double>(summary.memory_rows);
}

struct AllShares {
  Shares by_gpu, by_source, in_sample;
};

PublishedSummary summary_of(std::string source, const RowList& rows, const AllShares& shares) {
  PublishedSummary summary;
  summary.source = std::move(source);
  RowList timed;
  for (const PublishedForecast* row : rows) {
    if (row->error() && !row->row.out_of_memory) timed.push_back(row);
  }
  if (!timed.empty()) add_times(timed, summary);
  summary.naive = {.by_gpu = naive_mape(timed, shares.by_gpu, device_of),
                   .by_source = naive_mape(timed, shares.by_source, source_of),
                   .in_sample = naive_mape(timed, shares.in_sample, source_of)};
  add_choices(timed, summary);
  add_speedups(timed, summary);
  add_memory(rows, summary);
  return summary;
}

}  // namespace

bool belongs(const PublishedForecast& row, SplitPart part) {
  return part == SplitPart::all || row.fit == (part == SplitPart::fit);
}

std::vector<PublishedSummary> summarise(const PublishedRecord& record, SplitPart part) {
  const AllShares shares{.by_gpu = device_shares(record.rows),
                         .by_source = median_shares(record.rows, true, source_of),
                         .in_sample = median_shares(record.rows, false, source_of)};
  std::map<std::string, RowList> sources;
  RowList all;
  for (const PublishedForecast& row : record.rows) {
    if (!counts(row) || !belongs(row, part)) continue;
    sources[row.source].push_back(&row);
    all.push_back(&row);
  }
  std::vector<PublishedSummary> summaries;
  for (const auto& [source, rows] : sources) {
    summaries.push_back(summary_of(source, rows, shares));
  }
  summaries.push_back(summary_of("all", all, shares));
  return summaries;
}

}  // namespace foreplan
