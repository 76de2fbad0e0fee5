#pragma once

#include <optional>
#include <string>
#include <vector>

#include "tools/published_forecast.hpp"

namespace foreplan {

/// A forecast that knows nothing but the model's FLOPs: they run at one share of the devices' peak, the
/// median of the rows that it is taken from. Empty: there is no such row.
struct NaiveErrors {
  /// MAPE; one share a kind of device: the median of its sources' medians over fit rows; of a device
  /// without fit rows, the median of all devices.
  std::optional<double> by_gpu;
  std::optional<double> by_source;  ///< one a source, from its fit rows
  /// One a source, from all of its rows, the measured answers of this very table: no forecast, but the
  /// mark that a cost model has to pass.
  std::optional<double> in_sample;
};

/// What the rows of a source come to. Errors are forecast / measured - 1.
struct PublishedSummary {
  std::string source;     ///< or "all"
  std::int64_t rows = 0;  ///< with a measured time
  double mape = 0, max = 0, bias = 0, spearman = 0;
  NaiveErrors naive;
  /// Sets of rows of one model, batch and number of GPUs that differ in their layout.
  std::int64_t choices = 0;
  double regret =
      0;  ///< of the layout forecast fastest, over the fastest measured; mean of the sets
  double max_regret = 0;  ///< the largest
  /// Rows that differ from one on fewer GPUs in dp and batch alone, and the mean |error| of how many times as
  /// many samples a second they reach.
  std::int64_t speedups = 0;
  double speedup_mape = 0;
  std::int64_t memory_rows = 0;
  double memory_mape = 0, memory_bias = 0;
  std::int64_t out_of_memory = 0;  ///< rows that ran out of memory
  std::int64_t right_out_of_memory = 0;
  std::int64_t wrongly_refused = 0;  ///< rows that ran and are forecast not to fit
};

enum class SplitPart : std::uint8_t { fit, test, all };

/// By source in order of names, then "all". Rows of low trust count nowhere. The naive forecasts are taken
/// from the fit rows of `record` whatever the part.
std::vector<PublishedSummary> summarise(const PublishedRecord& record, SplitPart part);

/// Whether a row belongs to the part, whatever its trust.
bool belongs(const PublishedForecast& row, SplitPart part);

}  // namespace foreplan
