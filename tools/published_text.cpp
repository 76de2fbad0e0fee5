#include "tools/published_text.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "tools/text_table.hpp"

namespace foreplan {
namespace {

using Json = nlohmann::ordered_json;

template <typename T>
Json or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

/// As in `foreplan estimate --json`: the mean over devices, adding up to the step.
Json breakdown_json(const DeviceTime& time) {
  return {{"compute_s", seconds(time.compute)},
          {"exposed_communication_s", seconds(time.exposed_communication)},
          {"bubble_s", seconds(time.idle)},
          {"optimizer_s", seconds(time.optimizer)}};
}

Json row_json(const PublishedForecast& row) {
  return {{"id", row.row.id},
          {"source", row.source},
          {"strategy", format(row.estimate.strategy)},
          {"forecast_s", seconds(row.estimate.step_time)},
          {"measured_s", or_null(row.measured_s())},
          {"error", or_null(row.error())},
          {"forecast_bytes", row.memory.value_or(row.estimate.peak_memory).count},
          {"allocated_bytes", row.estimate.peak_memory.count},
          {"measured_bytes", or_null(row.row.measured_bytes())},
          {"memory_error", or_null(row.memory_error())},
          {"breakdown", breakdown_json(row.estimate.breakdown)},
          {"feasible", row.estimate.feasible},
          {"out_of_memory", row.row.out_of_memory},
          {"mfu", row.estimate.mfu},
          {"measured_mfu", or_null(row.measured_mfu())},
          {"split", row.fit ? "fit" : "test"},
          {"trust", name(row.row.trust)},
          {"assumed", row.assumed}};
}

Json summary_json(const PublishedSummary& s) {
  return {{"source", s.source},
          {"rows", s.rows},
          {"mape", s.mape},
          {"max", s.max},
          {"bias", s.bias},
          {"spearman", s.spearman},
          {"naive_mape", or_null(s.naive.by_gpu)},
          {"naive_source_mape", or_null(s.naive.by_source)},
          {"naive_in_sample_mape", or_null(s.naive.in_sample)},
          {"choices", s.choices},
          {"regret", s.regret},
          {"max_regret", s.max_regret},
          {"speedups", s.speedups},
          {"speedup_mape", s.speedup_mape},
          {"memory_rows", s.memory_rows},
          {"memory_mape", s.memory_mape},
          {"memory_bias", s.memory_bias},
          {"out_of_memory", s.out_of_memory},
          {"right_out_of_memory", s.right_out_of_memory},
          {"wrongly_refused", s.wrongly_refused}};
}

std::string percent(double ratio) { return fmt::format("{:.1f}", 100 * ratio); }
std::string signed_percent(double ratio) { return fmt::format("{:+.1f}", 100 * ratio); }
std::string percent(const std::optional<double>& ratio) {
  return ratio ? percent(*ratio) : std::string();
}

TextTable time_table(const std::vector<PublishedSummary>& summaries) {
  TextTable table({"source", "rows", "MAPE %", "max %", "bias %", "Spearman", "naive, GPU %",
                   "naive, source %", "source's own %", "choices", "regret %", "max regret %",
                   "speed-ups", "speed-up MAPE %"});
  for (const PublishedSummary& s : summaries) {
    if (s.rows == 0) continue;
    const bool choices = s.choices > 0;
    table.add({s.source, fmt::format("{}", s.rows), percent(s.mape), percent(s.max),
               signed_percent(s.bias), fmt::format("{:.3f}", s.spearman), percent(s.naive.by_gpu),
               percent(s.naive.by_source), percent(s.naive.in_sample),
               choices ? fmt::format("{}", s.choices) : "", choices ? percent(s.regret) : "",
               choices ? percent(s.max_regret) : "",
               s.speedups > 0 ? fmt::format("{}", s.speedups) : "",
               s.speedups > 0 ? percent(s.speedup_mape) : ""});
  }
  return table;
}

TextTable memory_table(const std::vector<PublishedSummary>& summaries) {
  TextTable table(
      {"source", "rows", "MAPE %", "bias %", "out of memory", "said so", "ran, said not to fit"});
  for (const PublishedSummary& s : summaries) {
    if (s.memory_rows + s.out_of_memory + s.wrongly_refused == 0) continue;
    const bool rows = s.memory_rows > 0;
    table.add({s.source, fmt::format("{}", s.memory_rows), rows ? percent(s.memory_mape) : "",
               rows ? signed_percent(s.memory_bias) : "", fmt::format("{}", s.out_of_memory),
               fmt::format("{}", s.right_out_of_memory), fmt::format("{}", s.wrongly_refused)});
  }
  return table;
}

/// Sources and reasons of skipped rows, the most frequent first.
TextTable skipped_table(const PublishedRecord& record) {
  std::map<std::pair<std::string, std::string>, int> reasons;
  for (const PublishedSkip& skip : record.skipped) ++reasons[{skip.source, skip.reason}];
  std::vector<std::pair<std::pair<std::string, std::string>, int>> sorted(reasons.begin(),
                                                                          reasons.end());
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  TextTable table({"skipped", "source", "reason"});
  for (const auto& [key, count] : sorted) {
    table.add({fmt::format("{}", count), key.first, key.second});
  }
  return table;
}

TextTable worst_table(const PublishedRecord& record, SplitPart part) {
  std::vector<const PublishedForecast*> rows;
  for (const PublishedForecast& row : record.rows) {
    if (row.error() && belongs(row, part) && row.row.trust != Trust::low) rows.push_back(&row);
  }
  std::stable_sort(rows.begin(), rows.end(), [](const auto* a, const auto* b) {
    return std::abs(std::log1p(*a->error())) > std::abs(std::log1p(*b->error()));
  });
  constexpr std::size_t kWorst = 10;
  constexpr int kOfSource = 2;
  TextTable table({"row", "strategy", "forecast s", "measured s", "error %", "measured MFU %"});
  std::map<std::string, int> of_source;
  std::size_t listed = 0;
  for (const PublishedForecast* row : rows) {
    if (listed == kWorst || ++of_source[row->source] > kOfSource) continue;
    ++listed;
    table.add({row->row.id, format(row->estimate.strategy),
               fmt::format("{:.4g}", seconds(row->estimate.step_time)),
               fmt::format("{:.4g}", *row->measured_s()), signed_percent(*row->error()),
               percent(row->measured_mfu())});
  }
  return table;
}

const char* part_name(SplitPart part) {
  return part == SplitPart::fit ? "fit" : part == SplitPart::test ? "test" : "all";
}

std::string headline(const PublishedRecord& record, SplitPart part) {
  return fmt::format("{} rows forecast, {} skipped; below: {} rows of high and medium trust.",
                     record.rows.size(), record.skipped.size(), part_name(part));
}

}  // namespace

Json published_json(const PublishedRecord& record, SplitPart part) {
  Json json{{"costs", "as shipped: foreplan calibrate, foreplan fit-links"},
            {"split", part_name(part)},
            {"rows", Json::array()},
            {"skipped", Json::array()},
            {"summary", Json::array()}};
  for (const PublishedForecast& row : record.rows) {
    if (belongs(row, part)) json["rows"].push_back(row_json(row));
  }
  for (const PublishedSkip& skip : record.skipped) {
    json["skipped"].push_back({{"id", skip.id}, {"source", skip.source}, {"reason", skip.reason}});
  }
  for (const PublishedSummary& s : summarise(record, part)) {
    json["summary"].push_back(summary_json(s));
  }
  return json;
}

std::string published_text(const PublishedRecord& record, SplitPart part) {
  const std::vector<PublishedSummary> summaries = summarise(record, part);
  return fmt::format(
      "{}\n\nstep time\n{}\npeak memory\n{}\n{}\n"
      "error: forecast over measured, minus 1. naive: the model's FLOPs at the median MFU of the "
      "fit rows of\nthe GPU, of the source; source's own: of all its rows, these measurements "
      "among them. regret: measured\ntime of the layout that is forecast fastest over that of the "
      "fastest, minus 1.\n",
      headline(record, part), time_table(summaries).text(), memory_table(summaries).text(),
      skipped_table(record).text());
}

std::string published_markdown(const PublishedRecord& record, SplitPart part) {
  const std::vector<PublishedSummary> summaries = summarise(record, part);
  return fmt::format(
      "{}\n\nStep time:\n\n{}\nPeak memory:\n\n{}\nThe ten "
      "worst rows, by the logarithm of forecast over measured, at most two of a source:\n\n{}",
      headline(record, part), time_table(summaries).markdown(), memory_table(summaries).markdown(),
      worst_table(record, part).markdown());
}

}  // namespace foreplan
