#include "planner/pipeline_schedule_orders.hpp"

#include <algorithm>
#include <array>
#include <deque>

namespace foreplan {
namespace {

using Kind = PipelineAction::Kind;

/// Writes a stage's actions; each kind takes the micro-batches of a chunk in order.
class OrderWriter {
 public:
  /// @param first  the first micro-batch that goes through each of the two chunks
  OrderWriter(int micro_batches, std::array<int, 2> first)
      : micro_batches_(micro_batches), first_(first) {}

  int forwards(int chunk) const { return forwards_[index(chunk)]; }
  int backwards(int chunk) const { return backwards_[index(chunk)]; }

  void forward(int chunk) { add(Kind::forward, forwards_[index(chunk)]++, chunk); }
  void backward(int chunk) { add(Kind::backward, backwards_[index(chunk)]++, chunk); }
  void backward_input(int chunk) {
    waiting_.push_back({Kind::backward_weight, backwards_[index(chunk)], chunk});
    add(Kind::backward_input, backwards_[index(chunk)]++, chunk);
  }
  /// Of what has waited longest, of `chunk` where that is told.
  void backward_weight(int chunk = -1) {
    const auto next = std::find_if(
        waiting_.begin(), waiting_.end(),
        [chunk](const PipelineAction& action) { return chunk < 0 || action.chunk == chunk; });
    if (next == waiting_.end()) return;
    add(Kind::backward_weight, next->micro_batch, next->chunk);
    waiting_.erase(next);
  }
  void split_backward(int chunk) {
    backward_input(chunk);
    backward_weight(chunk);
  }

  std::vector<PipelineAction> finish() && { return std::move(actions_); }

 private:
  static std::size_t index(int chunk) { return static_cast<std::size_t>(chunk); }
  void add(Kind kind, int at, int chunk) {
    const int micro_batch = first_[index(chunk)] + at;
    if (micro_batch < micro_batches_) actions_.push_back({kind, micro_batch, chunk});
  }

  int micro_batches_;
  std::array<int, 2> first_, forwards_{}, backwards_{};
  std::deque<PipelineAction> waiting_;
  std::vector<PipelineAction> actions_;
};

}  // namespace

std::vector<PipelineAction> one_f_one_b_order(int micro_batches, int warm_up) {
  warm_up = std::min(warm_up, micro_batches);
  std::vector<PipelineAction> actions;
  actions.reserve(2 * static_cast<std::size_t>(micro_batches));
  for (int i = 0; i < warm_up; ++i) actions.push_back({Kind::forward, i, 0});
  for (int i = 0; i < micro_batches; ++i) {
    if (i + warm_up < micro_batches) actions.push_back({Kind::forward, i + warm_up, 0});
    actions.push_back({Kind::backward, i, 0});
  }
  return actions;
}

std::vector<PipelineAction> interleaved_order(const PipelineShape& shape, int stage) {
  const int p = shape.stages, v = shape.chunks, passes = shape.micro_batches * v;
  const auto pass = [p, v](Kind kind, int k) {
    const int chunk = k / p % v;
    return PipelineAction{kind, k / (p * v) * p + k % p,
                          kind == Kind::forward ? chunk : v - 1 - chunk};
  };
  const int warm_up = std::min(passes, 2 * (p - stage - 1) + (v - 1) * p);
  std::vector<PipelineAction> actions;
  actions.reserve(2 * static_cast<std::size_t>(passes));
  for (int k = 0; k < warm_up; ++k) actions.push_back(pass(Kind::forward, k));
  for (int k = 0; k < passes; ++k) {
    if (k + warm_up < passes) actions.push_back(pass(Kind::forward, k + warm_up));
    actions.push_back(pass(Kind::backward, k));
  }
  return actions;
}

std::vector<PipelineAction> zero_bubble_order(int micro_batches, int warm_up, int delay) {
  warm_up = std::min(warm_up, micro_batches);
  delay = std::min(delay, micro_batches);
  std::vector<PipelineAction> actions;
  actions.reserve(3 * static_cast<std::size_t>(micro_batches));
  for (int i = 0; i < warm_up; ++i) actions.push_back({Kind::forward, i, 0});
  for (int i = 0; i < micro_batches; ++i) {
    if (i + warm_up < micro_batches) actions.push_back({Kind::forward, i + warm_up, 0});
    actions.push_back({Kind::backward_input, i, 0});
    if (i >= delay) actions.push_back({Kind::backward_weight, i - delay, 0});
  }
  for (int i = micro_batches - delay; i < micro_batches; ++i) {
    actions.push_back({Kind::backward_weight, i, 0});
  }
  return actions;
}

std::vector<PipelineAction> zb_v_order(const PipelineShape& shape, int stage) {
  const int p = shape.stages, behind = p - stage;
  // Drawn for as many as fill the pipeline; with fewer, those that do not exist are left out.
  const int drawn = std::max(shape.micro_batches, 2 * p - 1);
  OrderWriter order(shape.micro_batches, {0, 0});
  for (int i = 0; i < 2 * behind - 1; ++i) order.forward(0);
  for (int i = 0; i < stage; ++i) {
    order.forward(1);
    order.forward(0);
  }
  for (int i = 0; i < behind; ++i) {
    order.forward(1);
    order.split_backward(1);
  }
  while (order.forwards(1) < drawn) {
    if (order.forwards(0) < drawn) order.forward(0);
    order.split_backward(0);
    order.forward(1);
    order.split_backward(1);
  }
  for (int i = 0; i < stage; ++i) {
    order.backward_input(0);
    order.backward_input(1);
  }
  for (int i = 0; i < behind; ++i) {
    order.backward_input(0);
    order.backward_weight(0);
  }
  for (const int chunk : {1, 0}) {
    for (int i = 0; i < stage; ++i) order.backward_weight(chunk);
  }
  return std::move(order).finish();
}

std::vector<PipelineAction> dualpipe_order(const PipelineShape& shape, int stage) {
  const int p = shape.stages, half = shape.micro_batches / 2;
  const int depth = std::min(stage, p - 1 - stage);  // from the nearer end
  const int to_middle = p / 2 - depth - 1;
  // The direction whose end is nearer comes first.
  const int near = stage < p / 2 ? 0 : 1, far = 1 - near;
  OrderWriter order(shape.micro_batches, {0, half});
  for (int i = 0; i < 2 * to_middle; ++i) order.forward(near);
  for (int i = 0; i < depth + 1; ++i) {
    order.forward(near);
    order.forward(far);
  }
  for (int i = 0; i < to_middle; ++i) {
    order.split_backward(far);
    order.forward(far);
  }
  for (int i = 0; i < half - p + depth + 1; ++i) {
    order.forward(near);
    order.backward(far);
    order.forward(far);
    order.backward(near);
  }
  for (int i = 0; i < to_middle; ++i) {
    order.backward(far);
    order.forward(far);
    order.backward(near);
  }
  // 2 (depth + 1) backward, the second half of them without their weights.
  for (int i = 0; i < 2 * (depth + 1); ++i) {
    const int chunk = i % 2 == 0 ? far : near;
    i < depth + 1 ? order.backward(chunk) : order.backward_input(chunk);
  }
  for (int i = 0; i < to_middle; ++i) {
    order.backward_weight();
    order.backward_input(near);
  }
  for (int i = 0; i < depth + 1; ++i) order.backward_weight();
  return std::move(order).finish();
}

}  // namespace foreplan
