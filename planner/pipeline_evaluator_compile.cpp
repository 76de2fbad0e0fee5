#include <algorithm>
#include <numeric>

#include "planner/pipeline_evaluator_parts.hpp"
#include "sim/error.hpp"

namespace foreplan {
namespace {

using Kind = PipelineAction::Kind;

/// Whether `a` holds at most as much as `b` of everything.
bool within(const std::vector<int>& a, const std::vector<int>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), [](int x, int y) { return x <= y; });
}

}  // namespace

void PipelineEvaluator::Compiler::run() {
  for (int stage = 0; stage < shape_.stages; ++stage) {
    lists_.push_back(pipeline_schedule(shape_, stage));
    out_.holdings_.push_back(holdings(lists_.back()));
  }
  draw();
  sort();
  find_steady();
  check_tails();
}

void PipelineEvaluator::Compiler::check_tails() {
  for (const Steady& steady : out_.steady_) {
    // What skipping lands behind is known as far back as actions to come can see, a period at least.
    const std::size_t known = steady.end() - steady.period;
    for (const auto* positions : {&out_.last_backward_, &out_.last_}) {
      for (const std::uint32_t position : *positions) {
        if (position > steady.begin && position <= known) out_.tails_survive_ = false;
      }
    }
  }
}

std::size_t PipelineEvaluator::Compiler::slot(bool forward, int micro_batch, int at) const {
  const auto row = static_cast<std::size_t>(micro_batch) * 2 + (forward ? 1 : 0);
  return row * static_cast<std::size_t>(parts_) + static_cast<std::size_t>(at);
}

/// The position of what `action` on virtual stage `at` waits for; null if that is nothing.
const std::uint32_t* PipelineEvaluator::Compiler::input(const PipelineAction& action,
                                                        int at) const {
  if (action.kind == Kind::backward_weight) return nullptr;
  const bool forward = action.kind == Kind::forward;
  const int from = forward ? at - 1 : at + 1;
  if (from < 0 || !has_next(shape_, std::min(from, at))) return nullptr;
  return &positions_[slot(forward, action.micro_batch, from)];
}

/// Stage by stage as far as each gets, again and again.
void PipelineEvaluator::Compiler::draw() {
  const auto stages = static_cast<std::size_t>(shape_.stages);
  next_.assign(stages, 0);
  free_.assign(stages, 0);
  drawn_.assign(stages, {});
  positions_.assign(slot(false, shape_.micro_batches, 0), 0);
  for (bool progress = true; progress;) {
    progress = false;
    for (int stage = 0; stage < shape_.stages; ++stage) {
      while (try_next(stage)) progress = true;
    }
  }
  for (std::size_t stage = 0; stage < stages; ++stage) {
    if (next_[stage] != lists_[stage].size()) {
      throw Error(ErrorCode::failed, "pipeline: the stages wait for each other");
    }
  }
}

bool PipelineEvaluator::Compiler::try_next(int stage) {
  const auto row = static_cast<std::size_t>(stage);
  if (next_[row] == lists_[row].size()) return false;
  const PipelineAction& action = lists_[row][next_[row]];
  const int at = virtual_stage(shape_.schedule, shape_.stages, shape_.chunks, stage, action.chunk);
  const std::uint32_t* const needed = input(action, at);
  if (needed != nullptr && *needed == 0) return false;
  const std::uint32_t from = needed == nullptr ? 0 : *needed;
  const std::int64_t start = std::max(free_[row], finish_[from]);
  const bool from_whole = from != 0 && is_whole_backward(parts_, drafts_[from - 1].step.price);
  const std::size_t price = price_index(parts_, action.kind, at, from_whole);
  drafts_.push_back({{.input = from,
                      .stage = static_cast<std::uint16_t>(stage),
                      .price = static_cast<std::uint16_t>(price)},
                     start});
  drawn_[row].push_back(static_cast<std::uint32_t>(drafts_.size() - 1));
  free_[row] = start + (action.kind == Kind::backward ? 2 : 1);
  finish_.push_back(free_[row]);
  if (action.kind != Kind::backward_weight) {
    positions_[slot(action.kind == Kind::forward, action.micro_batch, at)] =
        static_cast<std::uint32_t>(drafts_.size());
  }
  ++next_[row];
  return true;
}

void PipelineEvaluator::Compiler::sort() {
  // A counting sort: at one start the stages come one after the other.
  std::vector<std::uint32_t> place(
      static_cast<std::size_t>(*std::max_element(free_.begin(), free_.end())) + 1, 0);
  for (const Draft& draft : drafts_) ++place[static_cast<std::size_t>(draft.start)];
  std::exclusive_scan(place.begin(), place.end(), place.begin(), 1u);
  std::vector<std::uint32_t> moved(drafts_.size() + 1, 0);
  for (const std::vector<std::uint32_t>& stage : drawn_) {
    for (const std::uint32_t draft : stage) {
      moved[draft + 1] = place[static_cast<std::size_t>(drafts_[draft].start)]++;
    }
  }
  out_.order_.resize(drafts_.size());
  out_.last_.assign(static_cast<std::size_t>(shape_.stages), 0);
  out_.last_backward_.assign(static_cast<std::size_t>(parts_), 0);
  out_.uses_.assign(kPricesEach * static_cast<std::size_t>(parts_), 0);
  for (std::size_t i = 0; i < drafts_.size(); ++i) {
    Step step = drafts_[i].step;
    step.input = moved[step.input];
    const std::uint32_t position = moved[i + 1];
    out_.order_[position - 1] = step;
    if (step.input != 0) out_.reach_ = std::max(out_.reach_, position - step.input);
    out_.last_[step.stage] = std::max(out_.last_[step.stage], position);
    ++out_.uses_[step.price];
    const bool weights = is_whole_backward(parts_, step.price) || is_weights(parts_, step.price);
    std::uint32_t& last = out_.last_backward_[step.price % static_cast<std::size_t>(parts_)];
    if (weights) last = std::max(last, position);
  }
}

/// How many actions of all stages the steady state repeats after: one micro-batch's, but of each
/// direction of DualPipe, of a group of p when interleaved, of one phase of GPipe.
std::uint32_t PipelineEvaluator::Compiler::period() const {
  const int p = shape_.stages;
  switch (shape_.schedule) {
    case Schedule::gpipe:
      return static_cast<std::uint32_t>(p);
    case Schedule::one_f_one_b:
      return static_cast<std::uint32_t>(2 * p);
    case Schedule::interleaved:
      return static_cast<std::uint32_t>(2 * p * parts_);
    case Schedule::zb_h1:
    case Schedule::zb_h2:
    case Schedule::zb_v:
      return static_cast<std::uint32_t>(3 * parts_);
    case Schedule::dualpipe:
      return static_cast<std::uint32_t>(2 * parts_);
  }
  return 1;
}

void PipelineEvaluator::Compiler::find_steady() {
  constexpr std::uint32_t kFewest = 4;  // fewer are as soon replayed
  const std::uint32_t length = period();
  const auto size = static_cast<std::uint32_t>(out_.order_.size());
  const auto repeats = [&](std::uint32_t i) {
    const Step& now = out_.order_[i];
    const Step& later = out_.order_[i + length];
    return now.stage == later.stage && now.price == later.price &&
           later.input == (now.input == 0 ? 0 : now.input + length);
  };
  for (std::uint32_t i = 0; i + length < size;) {
    const std::uint32_t begin = i;
    while (i + length < size && repeats(i)) ++i;
    const Steady steady{begin, length, (i - begin) / length + 1};
    if (steady.repeats >= kFewest) {
      out_.steady_.push_back(steady);
      i = static_cast<std::uint32_t>(steady.end());
    } else {
      ++i;
    }
  }
}

/// Right after each forward, when a stage holds most; only what no other moment exceeds.
std::vector<PipelineEvaluator::Holding> PipelineEvaluator::Compiler::holdings(
    const std::vector<PipelineAction>& actions) const {
  std::vector<Holding> most;
  Holding now(2 * static_cast<std::size_t>(shape_.chunks), 0);
  for (const PipelineAction& action : actions) {
    int& whole = now[static_cast<std::size_t>(action.chunk)];
    int& weight = now[static_cast<std::size_t>(shape_.chunks + action.chunk)];
    if (action.kind == Kind::backward_weight) {
      --weight;
    } else if (action.kind != Kind::forward) {
      --whole;
      if (action.kind == Kind::backward_input) ++weight;
    } else {
      ++whole;
      if (std::any_of(most.begin(), most.end(), [&](auto& other) { return within(now, other); })) {
        continue;
      }
      most.erase(
          std::remove_if(most.begin(), most.end(), [&](auto& other) { return within(other, now); }),
          most.end());
      most.push_back(now);
    }
  }
  return most;
}

}  // namespace foreplan
