#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "models/number_formats.hpp"
#include "planner/estimate.hpp"

namespace foreplan {

/// What is trained, on what, and what is known of its costs, as commands are told it.
struct TaskOptions {
  std::string model, cluster = "host", profile, stack;
  std::string optimizer = "auto", precision = "auto", collectives = "auto";
  std::int64_t global_batch = 0;
  std::int64_t sequence = 0, target_sequence = 0;  ///< tokens; 0: not told
  /// Where a model reads tokens and nobody tells how many: lengths_to_show(), rather than an error.
  bool usual_sequence = false;
};

/// A Task with all that it refers to.
class LoadedTask {
 public:
  /// Reads the files and fills in what is left to the model and the cluster: sgd and fp32 for what the
  /// runtime runs, else Adam and the precision of 16 bits that the first device has.
  /// @throws Error(invalid_argument) naming the option or the file
  explicit LoadedTask(const TaskOptions& options);
  LoadedTask(const LoadedTask&) = delete;
  LoadedTask& operator=(const LoadedTask&) = delete;

  Task& task() { return task_; }

 private:
  OpGraph model_;
  Cluster cluster_;
  std::unique_ptr<CostModel> costs_;
  NumberFormats formats_;
  Task task_;
};

}  // namespace foreplan
