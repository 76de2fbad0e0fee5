#include "sim/event_queue.hpp"

#include <algorithm>

namespace foreplan {
namespace {

constexpr std::size_t kChildren = 4;

}  // namespace

void EventQueue::put(std::size_t place, const Event& event) {
  heap_[place] = event;
  place_[index(event.task)] = static_cast<std::int32_t>(place);
}

void EventQueue::rise(std::size_t place, const Event& event) {
  while (place > 0) {
    const std::size_t parent = (place - 1) / kChildren;
    if (!(event < heap_[parent])) break;
    put(place, heap_[parent]);
    place = parent;
  }
  put(place, event);
}

void EventQueue::sink(std::size_t place, const Event& event) {
  while (true) {
    const std::size_t first = place * kChildren + 1;
    if (first >= heap_.size()) break;
    const std::size_t last = std::min(first + kChildren, heap_.size());
    const auto child = static_cast<std::size_t>(
        std::min_element(heap_.begin() + static_cast<std::ptrdiff_t>(first),
                         heap_.begin() + static_cast<std::ptrdiff_t>(last)) -
        heap_.begin());
    if (!(heap_[child] < event)) break;
    put(place, heap_[child]);
    place = child;
  }
  put(place, event);
}

void EventQueue::set(TaskId task, Duration at) {
  const Event event{at, task};
  if (place_[index(task)] == kAbsent) {
    heap_.push_back(event);
    rise(heap_.size() - 1, event);
    return;
  }
  const auto place = static_cast<std::size_t>(place_[index(task)]);
  if (event < heap_[place]) {
    rise(place, event);
  } else {
    sink(place, event);
  }
}

void EventQueue::pop() {
  place_[index(heap_.front().task)] = kAbsent;
  const Event last = heap_.back();
  heap_.pop_back();
  if (!heap_.empty()) sink(0, last);
}

}  // namespace foreplan
