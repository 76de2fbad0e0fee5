#include "sim/caching_allocator.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "sim/error.hpp"

namespace foreplan {
namespace {

constexpr std::int64_t kKiB = 1024, kMiB = 1024 * kKiB;
constexpr std::int64_t kSmallestBlock = 512;
constexpr std::int64_t kLargestSmall = kMiB;
constexpr std::int64_t kSmallSegment = 2 * kMiB;
constexpr std::int64_t kLargeSegment = 20 * kMiB;
constexpr std::int64_t kSegmentOfItsOwn = 10 * kMiB;
constexpr std::int64_t kSegmentStep = 2 * kMiB;
constexpr std::int64_t kLastAddress = std::int64_t{1} << 62;

std::int64_t rounded_up(std::int64_t value, std::int64_t step) {
  return (value + step - 1) / step * step;
}

std::int64_t segment_size(std::int64_t request) {
  if (request <= kLargestSmall) return kSmallSegment;
  if (request < kSegmentOfItsOwn) return kLargeSegment;
  return rounded_up(request, kSegmentStep);
}

}  // namespace

CachingAllocator::CachingAllocator(Bytes capacity) : capacity_(capacity.count) {
  if (capacity < Bytes{} || capacity > kUnlimited) {
    reject(
        fmt::format("allocator: expected a capacity from 0 B to 1 EiB, got {} B", capacity.count));
  }
}

CachingAllocator::Free CachingAllocator::key(Place place) const {
  const Node& of = node(place);
  return {.stream = of.stream, .place = place, .size = of.size, .address = of.address};
}

CachingAllocator::Place CachingAllocator::new_node(const Node& value) {
  if (spare_.empty()) {
    nodes_.push_back(value);
    return static_cast<Place>(nodes_.size()) - 1;
  }
  const Place place = spare_.back();
  spare_.pop_back();
  node(place) = value;
  return place;
}

CachingAllocator::Place CachingAllocator::best_fit(std::int64_t size, int stream) {
  Pool& pool = pools_[size <= kLargestSmall ? 0 : 1];
  const auto found = pool.lower_bound({.stream = stream, .size = size, .address = -1});
  if (found == pool.end() || found->stream != stream) return -1;
  const Place place = found->place;
  pool.erase(found);
  return place;
}

CachingAllocator::Place CachingAllocator::reserve(std::int64_t size, int stream) {
  const std::int64_t segment = segment_size(size);
  if (segment > capacity_ - stats_.reserved.count) return -1;
  if (segment > kLastAddress - next_address_) return -1;
  stats_.reserved += Bytes{segment};
  stats_.peak_reserved = std::max(stats_.peak_reserved, stats_.reserved);
  ++stats_.segments;
  const std::int64_t address = next_address_;
  next_address_ += segment;
  return new_node(
      {.address = address, .size = segment, .stream = stream, .small = size <= kLargestSmall});
}

void CachingAllocator::split(Place place, std::int64_t size) {
  const std::int64_t left = node(place).size - size;
  if (node(place).small ? left < kSmallestBlock : left <= kLargestSmall) return;
  Node rest = node(place);
  rest.address += size;
  rest.size = left;
  rest.previous = place;
  const Place behind = new_node(rest);
  if (rest.next >= 0) node(rest.next).previous = behind;
  node(place).next = behind;
  node(place).size = size;
  pool_of(rest).insert(key(behind));
}

std::optional<CachingAllocator::Block> CachingAllocator::allocate(Bytes bytes, int stream) {
  if (bytes < Bytes{} || bytes > kUnlimited) {
    reject(fmt::format("allocator: expected 0 B to 1 EiB, got {} B", bytes.count));
  }
  if (bytes == Bytes{}) return kNothing;
  const std::int64_t size = rounded_up(bytes.count, kSmallestBlock);
  Place place = best_fit(size, stream);
  if (place < 0) place = reserve(size, stream);
  if (place < 0) {
    ++stats_.retries;
    release_cached();
    place = reserve(size, stream);
  }
  if (place < 0) return std::nullopt;
  split(place, size);
  Node& taken = node(place);
  taken.live = true;
  taken.requested = bytes.count;
  stats_.requested += bytes;
  stats_.allocated += Bytes{taken.size};
  stats_.peak_requested = std::max(stats_.peak_requested, stats_.requested);
  stats_.peak_allocated = std::max(stats_.peak_allocated, stats_.allocated);
  return Block{place};
}

/// `right` becomes part of `left`.
void CachingAllocator::merge(Place left, Place right) {
  node(left).size += node(right).size;
  node(left).next = node(right).next;
  if (node(left).next >= 0) node(node(left).next).previous = left;
  node(right) = Node{};
  spare_.push_back(right);
}

void CachingAllocator::free(Block block) {
  if (block == kNothing) return;
  auto place = static_cast<Place>(block);
  if (place < 0 || static_cast<std::size_t>(place) >= nodes_.size() || !node(place).live) {
    reject(fmt::format("allocator: expected a live block to free, got block {}", place));
  }
  Node& freed = node(place);
  stats_.requested -= Bytes{freed.requested};
  stats_.allocated -= Bytes{freed.size};
  freed.live = false;
  freed.requested = 0;
  Pool& pool = pool_of(freed);
  if (const Place before = freed.previous; before >= 0 && !node(before).live) {
    pool.erase(key(before));
    merge(before, place);
    place = before;
  }
  if (const Place behind = node(place).next; behind >= 0 && !node(behind).live) {
    pool.erase(key(behind));
    merge(place, behind);
  }
  pool.insert(key(place));
}

void CachingAllocator::release_cached() {
  for (Pool& pool : pools_) {
    for (auto free = pool.begin(); free != pool.end();) {
      const Place place = free->place;
      if (!node(place).whole()) {
        ++free;
        continue;
      }
      stats_.reserved -= Bytes{free->size};
      --stats_.segments;
      free = pool.erase(free);
      node(place) = Node{};
      spare_.push_back(place);
    }
  }
}

Bytes CachingAllocator::inactive_split() const {
  Bytes sum;
  for (const Pool& pool : pools_) {
    for (const Free& free : pool) {
      // Neighbours of a free block are live, or they would be one with it.
      if (!node(free.place).whole()) sum += Bytes{free.size};
    }
  }
  return sum;
}

double CachingAllocator::fragmentation() const {
  if (stats_.reserved == Bytes{}) return 0;
  return static_cast<double>(inactive_split().count) / static_cast<double>(stats_.reserved.count);
}

std::vector<CachingAllocator::Extent> CachingAllocator::extents() const {
  std::vector<Extent> all;
  for (const Node& first : nodes_) {
    if (first.size == 0 || first.previous >= 0) continue;
    for (const Node* at = &first;; at = &node(at->next)) {
      all.push_back({.address = at->address,
                     .bytes = {at->size},
                     .requested = {at->requested},
                     .segment = first.address,
                     .stream = at->stream,
                     .live = at->live});
      if (at->next < 0) break;
    }
  }
  std::sort(all.begin(), all.end(),
            [](const Extent& a, const Extent& b) { return a.address < b.address; });
  return all;
}

}  // namespace foreplan
