#include "planner/branch_schedule.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

namespace foreplan {
namespace {

std::size_t place(std::int32_t layer) { return static_cast<std::size_t>(layer); }
/// Of a table that begins with what enters.
std::size_t tensor_place(std::int32_t tensor) { return static_cast<std::size_t>(tensor + 1); }

}  // namespace

BranchSchedule::BranchSchedule(const Stretch& stretch, const StretchCost& cost, int devices)
    : stretch_(stretch), cost_(cost), devices_(devices) {
  const auto layers = place(stretch.size());
  readers_.resize(layers + 1);
  for (std::size_t i = 0; i < layers; ++i) {
    for (const std::int32_t input : stretch.inputs[i]) {
      readers_[tensor_place(input)].push_back(static_cast<std::int32_t>(i));
    }
  }
  rank_layers();
  // A tensor's readers in the order of backward.
  std::vector<std::size_t> position(layers);
  for (std::size_t k = 0; k < layers; ++k) position[place(order_[k])] = k;
  for (std::vector<std::int32_t>& readers : readers_) {
    std::sort(readers.begin(), readers.end(), [&](std::int32_t a, std::int32_t b) {
      return position[place(a)] > position[place(b)];
    });
  }
  state_.resize(static_cast<std::size_t>(devices));
  done_.resize(layers);
  copies_.resize(layers + 1);
}

void BranchSchedule::rank_layers() {
  const auto layers = place(stretch_.size());
  std::vector<Duration> rank(layers);
  for (std::size_t i = layers; i-- > 0;) {
    for (const std::int32_t reader : readers_[i + 1]) {
      rank[i] = std::max(rank[i], cost_.copy[i] + rank[place(reader)]);
    }
    rank[i] += cost_.forward[i] + cost_.backward[i];
  }
  order_.resize(layers);
  std::iota(order_.begin(), order_.end(), 0);
  std::stable_sort(order_.begin(), order_.end(),
                   [&](std::int32_t a, std::int32_t b) { return rank[place(a)] > rank[place(b)]; });
}

void BranchSchedule::begin(StretchWay* way) {
  way_ = way;
  std::fill(state_.begin(), state_.end(), Device{});
  for (auto& copies : copies_) copies.assign(static_cast<std::size_t>(devices_), std::nullopt);
}

std::int32_t BranchSchedule::write(BranchEvent event, const std::vector<Place>& after) {
  if (way_ == nullptr) return -1;
  for (const Place& before : after) {
    if (before.event >= 0) event.after.push_back(before.event);
  }
  std::sort(event.after.begin(), event.after.end());
  event.after.erase(std::unique(event.after.begin(), event.after.end()), event.after.end());
  way_->events.push_back(std::move(event));
  return static_cast<std::int32_t>(way_->events.size()) - 1;
}

Duration BranchSchedule::copy_time(std::int32_t tensor) const {
  if (free_copies_) return {};
  return tensor < 0 ? cost_.enters : cost_.copy[place(tensor)];
}

/// A layer behind all of `read_`.
BranchSchedule::Place BranchSchedule::compute(std::int32_t layer, std::int32_t device,
                                              Duration time) {
  Place& computed = state_[place(device)].computed;
  read_.push_back(computed);
  Duration start{};
  for (const Place& before : read_) start = std::max(start, before.ready);
  computed.ready = start + time;
  computed.event = write({.kind = BranchEvent::Kind::compute,
                          .layer = layer,
                          .from = device,
                          .to = device,
                          .start = start,
                          .finish = computed.ready,
                          .after = {}},
                         read_);
  return computed;
}

BranchSchedule::Place BranchSchedule::copied(std::int32_t tensor, std::int32_t from,
                                             std::int32_t to, const Place& source) {
  Place &sent = state_[place(from)].sent, &received = state_[place(to)].received;
  const Duration start = std::max({source.ready, sent.ready, received.ready});
  const Duration finish = start + copy_time(tensor);
  const std::int32_t event = way_ == nullptr ? -1
                                             : write({.kind = BranchEvent::Kind::copy,
                                                      .layer = tensor,
                                                      .from = from,
                                                      .to = to,
                                                      .start = start,
                                                      .finish = finish,
                                                      .after = {}},
                                                     {source, sent, received});
  sent = received = {finish, event};
  return sent;
}

BranchSchedule::Place BranchSchedule::arrived(std::int32_t tensor, const BranchPlacement& placement,
                                              std::int32_t device) {
  const std::int32_t home = tensor < 0 ? 0 : placement[place(tensor)];
  const Place source = tensor < 0 ? Place{} : done_[place(tensor)];
  if (home == device) return source;
  std::optional<Place>& copy = copies_[tensor_place(tensor)][place(device)];
  if (!copy) copy = copied(tensor, home, device, source);
  return *copy;
}

/// Adds to `read_` when the gradient of a tensor is at its home: of every device that reads it a sum, in the order
/// in which devices come to their last readers.
void BranchSchedule::gather_gradient(std::int32_t tensor, const BranchPlacement& placement,
                                     std::int32_t home) {
  const std::vector<std::int32_t>& readers = readers_[tensor_place(tensor)];
  for (auto reader = readers.begin(); reader != readers.end(); ++reader) {
    const std::int32_t device = placement[place(*reader)];
    const bool last = std::none_of(reader + 1, readers.end(), [&](std::int32_t other) {
      return placement[place(other)] == device;
    });
    if (!last) continue;
    const Place& sum = done_[place(*reader)];
    read_.push_back(device == home ? sum : copied(tensor, device, home, sum));
  }
}

/// The first `layers` in order; until the last of them is done.
Duration BranchSchedule::run_forward(const BranchPlacement& placement, std::size_t layers,
                                     StretchWay* way) {
  begin(way);
  Duration finish{};
  for (std::size_t k = 0; k < layers; ++k) {
    const std::int32_t layer = order_[k], device = placement[place(layer)];
    read_.clear();
    for (const std::int32_t input : stretch_.inputs[place(layer)]) {
      read_.push_back(arrived(input, placement, device));
    }
    done_[place(layer)] = compute(layer, device, cost_.forward[place(layer)]);
    finish = done_[place(layer)].ready;
  }
  return finish;
}

Duration BranchSchedule::run_backward(const BranchPlacement& placement, StretchWay* way) {
  begin(way);
  for (std::size_t k = order_.size(); k-- > 0;) {
    const std::int32_t layer = order_[k], device = placement[place(layer)];
    read_.clear();
    gather_gradient(layer, placement, device);
    done_[place(layer)] = compute(layer, device, cost_.backward[place(layer)]);
  }
  read_.clear();
  gather_gradient(-1, placement, 0);
  Duration finish{};
  for (const Place& gradient : read_) finish = std::max(finish, gradient.ready);
  for (const Device& device : state_) finish = std::max(finish, device.computed.ready);
  return finish;
}

Duration BranchSchedule::time(const BranchPlacement& placement) {
  const Duration there = run_forward(placement, order_.size(), nullptr);
  return there + run_backward(placement, nullptr);
}

Duration BranchSchedule::time_without_copies(const BranchPlacement& placement) {
  free_copies_ = true;
  const Duration sum = time(placement);
  free_copies_ = false;
  return sum;
}

StretchWay BranchSchedule::forward(const BranchPlacement& placement) {
  StretchWay way;
  way.finish = run_forward(placement, order_.size(), &way);
  return way;
}

StretchWay BranchSchedule::backward(const BranchPlacement& placement) {
  StretchWay way;
  way.finish = run_backward(placement, &way);
  return way;
}

BranchPlacement BranchSchedule::earliest_finish() {
  BranchPlacement placement(order_.size(), 0);
  for (std::size_t k = 0; k < order_.size(); ++k) {
    const std::int32_t layer = order_[k];
    if (layer + 1 == stretch_.size()) continue;  // it lies on the first
    std::optional<Duration> least;
    std::int32_t best = 0;
    for (std::int32_t device = 0; device < devices_; ++device) {
      placement[place(layer)] = device;
      const Duration finish = run_forward(placement, k + 1, nullptr);
      if (least && finish >= *least) continue;
      least = finish;
      best = device;
    }
    placement[place(layer)] = best;
  }
  return placement;
}

}  // namespace foreplan
