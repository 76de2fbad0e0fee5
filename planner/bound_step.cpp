#include "planner/bound_step.hpp"

#include <algorithm>

#include "planner/ceil_div.hpp"
#include "planner/optimizer_update.hpp"

namespace foreplan {

Bounds::Step::Step(Bounds& bounds, const Place& place)
    : bounds_(bounds),
      at_(place),
      p_(place.sizes.pp),
      v_(place.course.vpp),
      m_(place.share.micro_batches),
      shape_{place.course.schedule, p_, v_, static_cast<int>(m_)} {}

bool Bounds::Step::offloads(Offload what) const {
  return at_.keeping.offload == what || at_.keeping.offload == Offload::all;
}

Bounds::Step::Span Bounds::Step::span(int at) const {
  const auto j = static_cast<std::size_t>(at);
  const auto begin = static_cast<std::size_t>(at_.cutting.borders[j]);
  const auto end = static_cast<std::size_t>(at_.cutting.borders[j + 1]);
  if (at_.course.again == Again::none) return {begin, begin, end};
  if (at_.course.again != Again::some) return {begin, end, end};
  const std::vector<std::int32_t>& layers = bounds_.layers_;
  const std::size_t last = static_cast<std::size_t>(bounds_.layers_before_[begin]) +
                           static_cast<std::size_t>(at_.cutting.recomputed);
  if (last > layers.size()) return {begin, end, end};
  return {begin, std::min(end, static_cast<std::size_t>(layers[last - 1]) + 1), end};
}

std::int64_t Bounds::Step::saved(const Span& span) const {
  const auto r = static_cast<std::size_t>(recompute_of(at_.course.again));
  return of(at_.units.saved[r], span.begin, span.middle) +
         of(at_.units.saved[0], span.middle, span.end);
}

Bounds::Step::Chunk Bounds::Step::chunk(const Span& span, std::size_t kind) const {
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
  if (at_.keeping.zero >= 2) shard(chunk, span, kind);
  if (offloads(Offload::activations)) move(chunk, span, kind);
  return chunk;
}

/// Two lanes: each unit computes behind the one before, and its parameters come behind theirs.
void Bounds::Step::shard(Chunk& chunk, const Span& span, std::size_t kind) const {
  const LayoutFacts::Sharded& wire = at_.facts.sharded(at_.units, at_.keeping.zero);
  const std::size_t a = span.begin, b = span.end;
  const UnitSums::Times& last =
      at_.units.of(kind, span.end > span.middle ? Recompute::none : recompute_of(at_.course.again));
  const UnitSums::Times& first = at_.units.of(
      kind, span.middle > span.begin ? recompute_of(at_.course.again) : Recompute::none);
  const std::int64_t gathers = of(wire.gather, a, b);
  const std::int64_t first_back = of(first.whole, a, a + 1) - of(first.forward, a, a + 1);
  const std::int64_t reduces = a + 2 < b ? of(wire.reduce, a + 2, b) : 0;
  std::int64_t forward =
      std::max(chunk.forward + of(wire.gather, a, a + 1), gathers + of(last.forward, b - 1, b));
  std::int64_t backward =
      std::max(chunk.back() + of(wire.gather, b - 1, b), gathers + reduces + first_back);
  if (!bounds_.task_.stack.prefetch_parameters) {
    forward = std::max(forward, chunk.forward + gathers);
    backward = std::max(backward, chunk.back() + gathers);
  }
  chunk.forward = forward;
  chunk.input = backward - chunk.weight;
  chunk.tail = of(wire.reduce, a, a + 1);
}

void Bounds::Step::move(Chunk& chunk, const Span& span, std::size_t kind) const {
  const auto spec = static_cast<std::size_t>(bounds_.kinds_[kind].spec);
  const std::int64_t time =
      (Bytes{saved(span)} / bounds_.task_.cluster.specs()[spec].host_bandwidth).count();
  chunk.forward = std::max(chunk.forward, time);
  chunk.input += std::max<std::int64_t>(0, time - chunk.back());
}

void Bounds::Step::price(const std::vector<std::size_t>& replica) {
  const int parts = p_ * v_;
  chunks_.clear();
  hops_.assign(static_cast<std::size_t>(parts), 0);
  before_.assign(static_cast<std::size_t>(parts), 0);
  const std::vector<std::int32_t>& units = bounds_.space_.chain().units;
  std::int64_t at = 0;
  for (int j = 0; j < parts; ++j) {
    const auto here = static_cast<std::size_t>(j);
    const Span stage = span(j);
    chunks_.push_back(chunk(stage, replica[static_cast<std::size_t>(j % p_)]));
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
void Bounds::Step::end_stages() {
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
void Bounds::Step::pass_back(bool whole) {
  for (auto s = static_cast<std::size_t>(p_) - 1; s-- > 0;) {
    const Chunk& chunk = chunks_[s];
    const std::int64_t takes = whole ? chunk.back() : chunk.input;
    ends_[s] = std::max(ends_[s], ends_[s + 1] + hops_[s] + takes);
  }
}

/// Two flow shops, one behind the other.
void Bounds::Step::end_gpipe() {
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
void Bounds::Step::end_plain() {
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
void Bounds::Step::end_zero_bubble() {
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

void Bounds::Step::end_interleaved() {
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

StageState Bounds::Step::state(int stage) const {
  StageState state;
  for (int j = stage; j < p_ * v_; j += p_) {
    const Span chunk = span(j);
    state.dense += of(at_.units.dense, chunk.begin, chunk.end);
    if (p_ > 1) state.dense += of(at_.units.tied, chunk.begin, chunk.end);
    state.expert += of(at_.units.expert, chunk.begin, chunk.end);
  }
  return state;
}

/// When a stage's gradients are aggregated: those of its first chunk, whose last backward ends it.
std::int64_t Bounds::Step::ready(int stage) const {
  const auto s = static_cast<std::size_t>(stage);
  const Chunk& chunk = chunks_[s];
  std::int64_t ready = ends_[s] + chunk.tail;
  if (at_.keeping.zero >= 2 || at_.facts.groups().data_ranks() == 1) return ready;
  const auto kind =
      at_.keeping.zero == 1 ? CollectiveKind::reduce_scatter : CollectiveKind::all_reduce;
  const Span units = span(stage);
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

/// The optimizer, and updated parameters gathered.
std::int64_t Bounds::Step::behind(int stage, std::size_t kind) const {
  const StageState whole = state(stage);
  const Strategy strategy{.zero = at_.keeping.zero};
  const std::int64_t own = own_parameters(whole, strategy, at_.facts.groups());
  Duration update = bounds_.update(own, kind);
  if (offloads(Offload::optimizer)) {
    const auto spec = static_cast<std::size_t>(bounds_.kinds_[kind].spec);
    const Bytes bytes{own * state_bytes(bounds_.task_)};
    update = std::max(update, bytes / bounds_.task_.cluster.specs()[spec].host_bandwidth);
  }
  return (update + at_.facts.gather(whole, at_.keeping.zero)).count();
}

std::int64_t Bounds::Step::time(const std::vector<std::size_t>& replica) {
  price(replica);
  end_stages();
  std::vector<std::int64_t>& done = before_;
  done.clear();
  for (int s = 0; s < p_; ++s) done.push_back(ready(s));
  const Duration tied = at_.facts.tied(p_, p_ > 1 ? at_.units.tied.back() : 0);
  if (tied > Duration{}) {
    done.front() = done.back() = std::max(done.front(), done.back()) + tied.count();
  }
  const std::int64_t norm = at_.facts.norm(p_).count();
  const std::int64_t all = *std::max_element(done.begin(), done.end());
  std::int64_t end = 0;
  for (int s = 0; s < p_; ++s) {
    const auto here = static_cast<std::size_t>(s);
    const std::int64_t from = norm > 0 ? all + norm : done[here];
    end = std::max(end, from + behind(s, replica[here]));
  }
  return end;
}

Duration Bounds::Step::time() {
  std::int64_t longest = 0;
  for (const std::vector<std::size_t>& replica : bounds_.devices(at_.sizes).replicas) {
    longest = std::max(longest, time(replica));
  }
  return Duration{longest};
}

Bytes Bounds::Step::transient(int stage) const {
  Bytes recomputed, gathered;
  const std::vector<std::int32_t>& units = bounds_.space_.chain().units;
  const std::vector<UnitWork>& works = at_.units.table->works();
  const UnitChain& chain = bounds_.space_.chain();
  for (int j = stage; j < p_ * v_; j += p_) {
    const Span chunk = span(j);
    for (std::size_t i = chunk.begin; i < chunk.end; ++i) {
      const auto unit_class = static_cast<std::size_t>(units[i]);
      if (i > chunk.begin && units[i] == units[i - 1] && i != chunk.middle) continue;
      const UnitWork& work = works[unit_class];
      const bool layer = chain.classes[unit_class].role == BlockRole::layer;
      if (layer && i < chunk.middle) {
        const bool all = at_.course.again != Again::attention;
        recomputed = std::max(recomputed, all ? work.saved : work.saved - work.saved_selectively);
      }
      gathered = std::max(gathered, (work.dense_parameters + work.expert_parameters) *
                                        element_size(bounds_.task_.precision));
    }
  }
  return recomputed + (at_.keeping.zero == 3 ? 2 * gathered : Bytes{});
}

Bytes Bounds::Step::stage_memory(int stage) {
  const Task& task = bounds_.task_;
  const StageState whole = state(stage);
  const RankGroups& groups = at_.facts.groups();
  const std::int64_t all = whole.dense + whole.expert;
  const std::int64_t shard = own_parameters(whole, {.zero = 1}, groups);
  const auto shared = [&](bool sharded) { return sharded ? shard : all; };
  std::int64_t kept = shared(at_.keeping.zero >= 1);
  if (offloads(Offload::optimizer)) kept = std::min(kept, state_at_work(task));
  held_chunks(shape_, stage, bounds_.held_);
  std::int64_t activations = 0, largest = 0;
  for (int c = 0; c < v_; ++c) {
    const std::int64_t chunk = saved(span(c * p_ + stage));
    activations += bounds_.held_[static_cast<std::size_t>(c)] * chunk;
    largest = std::max(largest, chunk);
  }
  if (offloads(Offload::activations)) activations = std::min(activations, 2 * largest);
  return shared(at_.keeping.zero >= 3) * element_size(task.precision) +
         Bytes{shared(at_.keeping.zero >= 2) * task.stack.gradient_bytes} +
         Bytes{kept * state_bytes(task)} + Bytes{activations} + transient(stage);
}

Bytes Bounds::Step::over() {
  const std::vector<Bytes>& capacity = bounds_.devices(at_.sizes).capacity;
  Bytes over = stage_memory(0) - capacity.front();
  for (int s = 1; s < p_; ++s) {
    over = std::max(over, stage_memory(s) - capacity[static_cast<std::size_t>(s)]);
  }
  return over;
}

Bytes Bounds::over(const Sizes& sizes, const Share& share, const Course& course,
                   const Keeping& keeping, const Cutting& cutting, const UnitSums& units,
                   LayoutFacts& facts) {
  return Step(*this, {sizes, share, course, keeping, cutting, units, facts}).over();
}

Bound Bounds::of(const Sizes& sizes, const Share& share, const Course& course,
                 const Keeping& keeping, const Cutting& cutting, const UnitSums& units,
                 LayoutFacts& facts) {
  Step step(*this, {sizes, share, course, keeping, cutting, units, facts});
  const Bytes over = step.over();
  if (over > Bytes{}) return {.time = {}, .over = over};
  return {.time = std::max(step.time(), of(sizes, share, course, keeping, units, facts).time),
          .over = over};
}

}  // namespace foreplan
