#include "planner/bound_step.hpp"

#include <algorithm>
#include <limits>

#include "planner/ceil_div.hpp"

namespace foreplan {
StepBound::StepBound(Bounds& bounds, const Place& place)
    : bounds_(bounds),
      at_(place),
      p_(place.sizes.pp),
      v_(place.course.vpp),
      m_(place.share.micro_batches),
      shape_{place.course.schedule, p_, v_, static_cast<int>(m_)} {
  for (int j = 0; j < p_ * v_; ++j) spans_.push_back(span_of(j));
}

StepBound::Span StepBound::span_of(int at) const {
  const auto j = static_cast<std::size_t>(at);
  const auto begin = static_cast<std::size_t>(at_.borders[j]);
  const auto end = static_cast<std::size_t>(at_.borders[j + 1]);
  if (at_.course.again == Again::none) return {begin, begin, end};
  if (at_.course.again != Again::some) return {begin, end, end};
  const std::vector<std::int32_t>& layers = bounds_.layers_;
  const std::size_t last = static_cast<std::size_t>(bounds_.layers_before_[begin]) +
                           static_cast<std::size_t>(at_.recomputed);
  if (last > layers.size()) return {begin, end, end};
  return {begin, std::min(end, static_cast<std::size_t>(layers[last - 1]) + 1), end};
}

Bytes StepBound::saved(const Span& span) const {
  const auto r = static_cast<std::size_t>(recompute_of(at_.course.again));
  return Bytes{of(at_.units.saved[r], span.begin, span.middle) +
               of(at_.units.saved[0], span.middle, span.end)};
}

StepBound::Chunk StepBound::chunk(const Span& span, std::size_t kind,
                                  const Keeping& keeping) const {
  const UnitSums::Times& again = at_.units.of(kind, recompute_of(at_.course.again));
  const UnitSums::Times& once = at_.units.of(kind, Recompute::none);
  const auto sum = [&](const WeightSums UnitSums::Times::*part) {
    return of(again.*part, span.begin, span.middle) + of(once.*part, span.middle, span.end);
  };
  Chunk chunk{.forward = sum(&UnitSums::Times::forward),
              .input = sum(&UnitSums::Times::input),
              .weight = sum(&UnitSums::Times::weight)};
  chunk.backward = chunk.back();
  const UnitSums::Times& last = span.end > span.middle ? once : again;
  chunk.first_unit =
      of(last.whole, span.end - 1, span.end) - of(last.forward, span.end - 1, span.end);
  if (keeping.zero >= 2) shard(chunk, span, kind, keeping.zero);
  if (moves_activations(keeping)) move(chunk, span, kind);
  return chunk;
}

/// Two lanes: each unit computes behind the one before, and its parameters come behind theirs. What slows one
/// down beside the other comes on top.
void StepBound::shard(Chunk& chunk, const Span& span, std::size_t kind, int zero) const {
  const LayoutFacts::Sharded& wire = at_.facts.sharded(at_.units, zero);
  const std::size_t a = span.begin, b = span.end;
  chunk.tail = of(wire.reduce, a, a + 1);
  if (zero < 3) return;
  const Recompute again = recompute_of(at_.course.again);
  const UnitSums::Times& last = at_.units.of(kind, b > span.middle ? Recompute::none : again);
  const UnitSums::Times& first = at_.units.of(kind, span.middle > a ? again : Recompute::none);
  const std::int64_t gathers = of(wire.gather, a, b), ends = of(wire.gather, a, a + 1);
  std::int64_t behind = of(first.whole, a, a + 1) - of(first.forward, a, a + 1);
  // A forward that repeats may gather on its own, and then stands apart.
  if (bounds_.task_.stack.gather_again) behind = 0;
  // The last unit's parameters come behind the gradients of all but the last two.
  const std::int64_t reduces = ends > 0 && a + 2 < b ? of(wire.reduce, a + 2, b) : 0;
  std::int64_t forward = std::max(chunk.forward + ends, gathers + of(last.forward, b - 1, b));
  std::int64_t backward =
      std::max(chunk.back() + of(wire.gather, b - 1, b), gathers + reduces + behind);
  if (!bounds_.task_.stack.prefetch_parameters) {
    forward = std::max(forward, chunk.forward + gathers);
    backward = std::max(backward, chunk.back() + gathers);
  }
  chunk.forward = forward;
  chunk.input = backward - chunk.weight;
}

void StepBound::move(Chunk& chunk, const Span& span, std::size_t kind) const {
  const std::int64_t time = (saved(span) / bounds_.host_bandwidth(kind)).count();
  chunk.forward = std::max(chunk.forward, time);
  chunk.input += std::max<std::int64_t>(0, time - chunk.back());
}

void StepBound::price(const std::vector<std::size_t>& replica, const Keeping& keeping) {
  const int parts = p_ * v_;
  chunks_.clear();
  hops_.assign(static_cast<std::size_t>(parts), 0);
  before_.assign(static_cast<std::size_t>(parts), 0);
  const std::vector<std::int32_t>& units = bounds_.space_.chain().units;
  std::int64_t at = 0;
  for (int j = 0; j < parts; ++j) {
    const auto here = static_cast<std::size_t>(j);
    const Span& stage = spans_[here];
    chunks_.push_back(chunk(stage, replica[static_cast<std::size_t>(j % p_)], keeping));
    before_[here] = at;
    if (j + 1 < parts) {
      const auto last = static_cast<std::size_t>(units[stage.end - 1]);
      const Bytes leaving = at_.units.table->works()[last].leaving;
      hops_[here] = at_.facts.hop(j % p_, (j + 1) % p_, leaving, at_.share.sp).count();
    }
    at += chunks_.back().forward + hops_[here];
  }
}

/// When a micro-batch has come down the whole chain, and back to each stage's last chunk: its first
/// backward can start.
void StepBound::end_stages() {
  const bool split = at_.course.schedule == Schedule::zb_h1;
  const auto parts = chunks_.size();
  const auto p = static_cast<std::size_t>(p_);
  first_back_.assign(p, 0);
  ends_.assign(p, 0);
  std::int64_t at = before_.back() + chunks_.back().forward;
  for (std::size_t j = parts; j-- > parts - p;) {
    if (j + 1 < parts) {
      at += hops_[j] + (split ? chunks_[j + 1].input : chunks_[j + 1].back());
    }
    first_back_[j % p] = at;
  }
  for (std::size_t s = 0; s < p; ++s) {
    std::int64_t whole = 0;
    for (std::size_t j = s; j < parts; j += p) whole += chunks_[j].whole();
    ends_[s] = before_[s] + m_ * whole;
  }
  switch (at_.course.schedule) {
    case Schedule::gpipe:
      return end_gpipe();
    case Schedule::one_f_one_b:
      return end_plain();
    case Schedule::zb_h1:
      return end_zero_bubble();
    default:
      return end_interleaved();
  }
}

/// The last backward of the stage before follows that of the one behind.
void StepBound::pass_back(bool whole) {
  for (auto s = static_cast<std::size_t>(p_) - 1; s-- > 0;) {
    const Chunk& chunk = chunks_[s];
    const std::int64_t takes = whole ? chunk.back() : chunk.input;
    ends_[s] = std::max(ends_[s], ends_[s + 1] + hops_[s] + takes);
  }
}

/// Two flow shops, one behind the other.
void StepBound::end_gpipe() {
  std::int64_t forward = 0, backward = 0;
  for (const Chunk& chunk : chunks_) forward = std::max(forward, chunk.forward);
  for (auto s = static_cast<std::size_t>(p_); s-- > 0;) {
    backward = std::max(backward, chunks_[s].back());
    const std::int64_t first = first_back_[s] + chunks_[s].back();
    ends_[s] = std::max(ends_[s], first + (m_ - 1) * (forward + backward));
  }
  pass_back(true);
}

/// Behind its first backward a stage has all of them to do, and the forwards that did not come before;
/// and a forward waits for the backward of p - s micro-batches before.
void StepBound::end_plain() {
  std::int64_t around = 0;
  for (auto s = static_cast<std::size_t>(p_); s-- > 0;) {
    const Chunk& chunk = chunks_[s];
    const std::int64_t flying = p_ - static_cast<std::int64_t>(s);
    around += chunk.whole() + 2 * hops_[s];
    const std::int64_t rest = std::max<std::int64_t>(0, m_ - flying);
    ends_[s] = std::max({ends_[s], first_back_[s] + m_ * chunk.back() + rest * chunk.forward,
                         before_[s] + ceil_div(m_, flying) * around});
  }
  pass_back(true);
}

/// The same with backwards of the input; of the weights', as many as the order puts between.
void StepBound::end_zero_bubble() {
  std::vector<std::int64_t> busy = ends_;
  std::int64_t around = 0;
  for (auto s = static_cast<std::size_t>(p_); s-- > 0;) {
    const Chunk& chunk = chunks_[s];
    const std::int64_t flying = p_ - static_cast<std::int64_t>(s);
    around += chunk.forward + chunk.input + 2 * hops_[s];
    const std::int64_t rest = std::max<std::int64_t>(0, m_ - flying);
    const std::int64_t weights = std::max<std::int64_t>(0, m_ - 1 - static_cast<std::int64_t>(s));
    ends_[s] =
        std::max(first_back_[s] + m_ * chunk.input + rest * chunk.forward + weights * chunk.weight,
                 before_[s] + ceil_div(m_, flying) * around);
  }
  pass_back(false);
  for (std::size_t s = 0; s < ends_.size(); ++s) {
    const std::int64_t weights = std::max<std::int64_t>(0, m_ - 1 - static_cast<std::int64_t>(s));
    ends_[s] = std::max(busy[s], ends_[s] + (m_ - weights) * chunks_[s].weight);
  }
}

void StepBound::end_interleaved() {
  const auto p = static_cast<std::size_t>(p_);
  for (std::size_t s = 0; s < p; ++s) {
    held_chunks(shape_, static_cast<int>(s), bounds_.held_);
    std::int64_t end = first_back_[s];
    for (std::size_t c = 0; c < static_cast<std::size_t>(v_); ++c) {
      const Chunk& chunk = chunks_[c * p + s];
      end += m_ * chunk.back() + std::max<std::int64_t>(0, m_ - bounds_.held_[c]) * chunk.forward;
    }
    ends_[s] = std::max(ends_[s], end);
  }
  pass_back(true);
}

/// When a stage's gradients are aggregated: those of its first chunk, whose last backward ends it.
std::int64_t StepBound::ready(int stage, const Keeping& keeping) const {
  const auto s = static_cast<std::size_t>(stage);
  const Chunk& chunk = chunks_[s];
  const std::int64_t ready = ends_[s] + chunk.tail;
  if (keeping.zero >= 2 || at_.facts.groups().data_ranks() == 1) return ready;
  const auto kind = keeping.zero == 1 ? CollectiveKind::reduce_scatter : CollectiveKind::all_reduce;
  const Span& units = spans_[s];
  const LayoutFacts::Buckets buckets =
      at_.facts.buckets(of(at_.units.dense, units.begin, units.end), kind);
  std::int64_t all = buckets.all.count();
  if (of(at_.units.expert, units.begin, units.end) > 0) {
    all += of(at_.facts.experts(at_.units, kind), units.begin, units.end);
  }
  if (!bounds_.task_.stack.overlap_gradients) return std::max(ready, ends_[s] + all);
  const bool split = at_.course.schedule == Schedule::zb_h1;
  const std::int64_t start = ends_[s] - (split ? chunk.weight : chunk.back());
  return std::max(
      {ready, start + chunk.first_unit + all, start + chunk.backward + buckets.last.count()});
}

/// Stages that hold the same table wait for each other, and all for the norm of all gradients. Until the
/// last knows it.
std::int64_t StepBound::finish(std::vector<std::int64_t>& ready) const {
  const Duration tied = at_.facts.tied(p_, p_ > 1 ? at_.units.tied.back() : 0);
  if (tied > Duration{}) {
    ready.front() = ready.back() = std::max(ready.front(), ready.back()) + tied.count();
  }
  const std::int64_t norm = at_.facts.norm(p_).count();
  const std::int64_t all = *std::max_element(ready.begin(), ready.end());
  if (norm > 0) ready.assign(ready.size(), all + norm);
  return all + norm;
}

void StepBound::run(const std::vector<std::size_t>& replica, const Keeping& keeping) {
  // Zero 0 and 1 work alike, and offloaded state lies behind the pipeline.
  const std::pair now{std::max(1, keeping.zero), moves_activations(keeping)};
  if (run_ == now) return;
  price(replica, keeping);
  end_stages();
  if (bounds_.devices(at_.sizes).replicas.size() == 1) run_ = now;
}

std::int64_t StepBound::time(const std::vector<std::size_t>& replica, const Keeping& keeping) {
  run(replica, keeping);
  std::vector<std::int64_t> done;
  for (int s = 0; s < p_; ++s) done.push_back(ready(s, keeping));
  finish(done);
  std::int64_t end = 0;
  for (int s = 0; s < p_; ++s) {
    const auto here = static_cast<std::size_t>(s);
    const Duration behind =
        bounds_.behind(held_[here].optimized, replica[here], keeping, at_.facts);
    end = std::max(end, done[here] + behind.count());
  }
  return end;
}

Duration StepBound::least() {
  std::int64_t longest = 0;
  for (const std::vector<std::size_t>& replica : bounds_.devices(at_.sizes).replicas) {
    run(replica, plain());
    std::vector<std::int64_t> done = ends_;
    longest = std::max(longest, finish(done));
  }
  return Duration{longest} + bounds_.task_.stack.host_step;
}

Duration StepBound::time(const Keeping& keeping) {
  hold_all();
  std::int64_t longest = 0;
  for (const std::vector<std::size_t>& replica : bounds_.devices(at_.sizes).replicas) {
    longest = std::max(longest, time(replica, keeping));
  }
  return Duration{longest} + bounds_.task_.stack.host_step;
}

std::vector<UnitPiece> StepBound::pieces_of(const Span& span) const {
  const UnitChain& chain = bounds_.space_.chain();
  std::vector<UnitPiece> pieces;
  for (std::size_t i = span.begin; i < span.end;) {
    const auto unit_class = static_cast<std::size_t>(chain.units[i]);
    const auto run_end = std::min(static_cast<std::size_t>(bounds_.run_ends_[i]), span.end);
    const std::size_t end = i < span.middle ? std::min(run_end, span.middle) : run_end;
    const bool again = i < span.middle && chain.classes[unit_class].role == BlockRole::layer;
    pieces.push_back({.unit_class = unit_class,
                      .count = static_cast<std::int32_t>(end - i),
                      .recompute = again ? recompute_of(at_.course.again) : Recompute::none});
    i = end;
  }
  return pieces;
}

StepBound::Held StepBound::held_by(int stage) const {
  Held held;
  held_chunks(shape_, stage, bounds_.held_);
  for (int c = 0; c < v_; ++c) {
    const Span& span = spans_[static_cast<std::size_t>(c * p_ + stage)];
    StageState& state = held.optimized.state;
    state.dense += of(at_.units.dense, span.begin, span.end);
    if (p_ > 1) state.dense += of(at_.units.tied, span.begin, span.end);
    state.expert += of(at_.units.expert, span.begin, span.end);
    state.fp8 += of(at_.units.fp8, span.begin, span.end);
    held.optimized.update += of(at_.units.update, span.begin, span.end);
    held.optimized.unmeasured += of(at_.units.unmeasured, span.begin, span.end);
    const Bytes chunk = saved(span);
    held.activations += bounds_.held_[static_cast<std::size_t>(c)] * chunk;
    held.largest_chunk = std::max(held.largest_chunk, chunk);
    held.chunks.push_back(pieces_of(span));
  }
  return held;
}

void StepBound::hold_all() {
  if (!held_.empty()) return;
  for (int s = 0; s < p_; ++s) held_.push_back(held_by(s));
}

Bytes StepBound::over(const Keeping& keeping) {
  hold_all();
  const std::vector<Bytes>& capacity = bounds_.devices(at_.sizes).capacity;
  Bytes most{std::numeric_limits<std::int64_t>::min()};
  for (std::size_t s = 0; s < held_.size(); ++s) {
    const Held& held = held_[s];
    const bool moving = moves_activations(keeping);
    const StageMemory memory =
        stage_memory({.task = bounds_.task_,
                      .zero = keeping.zero,
                      .offload = keeping.offload,
                      .groups = at_.facts.groups(),
                      .chain = bounds_.space_.chain(),
                      .works = at_.units.table->works(),
                      .chunks = held.chunks,
                      .state = held.optimized.state,
                      .activations = moving ? std::min(held.activations, 2 * held.largest_chunk)
                                            : held.activations});
    most = std::max(most, memory.peak - capacity[s]);
  }
  return most;
}

}  // namespace foreplan
