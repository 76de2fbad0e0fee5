#pragma once

#include <array>
#include <cstdint>
#include <memory_resource>
#include <optional>
#include <set>
#include <vector>

#include "sim/units.hpp"

namespace foreplan {

/// What an allocator holds, now and at most so far.
struct AllocatorStats {
  Bytes requested;  ///< by live blocks, as they were asked for
  Bytes allocated;  ///< sizes of live blocks (torch.cuda.memory_allocated)
  Bytes reserved;   ///< sizes of segments (torch.cuda.memory_reserved)
  Bytes peak_requested, peak_allocated, peak_reserved;
  std::int64_t segments = 0;
  std::int64_t retries = 0;  ///< times that the cache was released because memory ran out
};

/// PyTorch's caching allocator of one device, as far as it decides how much memory is reserved.
///
/// A request is rounded up to 512 B. Up to 1 MiB it is small, above it is large; each has its own pool, and
/// each stream its own blocks in it. It gets the smallest free block of its stream and pool that holds it
/// (ties: the lowest address). Where there is none, a segment is reserved:
///
///   request           segment
///   up to 1 MiB       2 MiB
///   below 10 MiB      20 MiB
///   10 MiB and more   the request, rounded up to 2 MiB
///
/// and where the device has no room for it, every segment without a live block is released first, once.
/// What is left of a block is split off from 512 B in the small pool, and if it is more than 1 MiB in the
/// large one; otherwise it goes with the request. A freed block merges with free neighbours of its segment;
/// segments stay reserved. Addresses of segments grow by the order of reserving, which decides ties alone.
///
/// Left out, as off by default: max_split_size_mb, roundup_power2_divisions, expandable_segments,
/// garbage_collection_threshold; and record_stream, events and graphs' private pools. O(log n) a call for n
/// free blocks, a release O(n).
///
/// Source: PyTorch 2.3, c10/cuda/CUDACachingAllocator.cpp, and "CUDA semantics, Memory management" in its
/// documentation.
class CachingAllocator {
 public:
  enum class Block : std::int32_t {};
  static constexpr Block kNothing{-1};  ///< what a request of 0 B gets
  static constexpr Bytes kUnlimited{std::int64_t{1} << 60};

  /// @throws Error(invalid_argument) if `capacity` is negative or above 1 EiB
  explicit CachingAllocator(Bytes capacity = kUnlimited);

  /// @return nothing where the device's memory does not suffice, cache released
  /// @throws Error(invalid_argument) if `bytes` is negative or above 1 EiB
  std::optional<Block> allocate(Bytes bytes, int stream = 0);
  /// @throws Error(invalid_argument) if it is not live
  void free(Block block);
  /// Gives back every segment without a live block (torch.cuda.empty_cache).
  void release_cached();

  const AllocatorStats& stats() const { return stats_; }
  /// Where a live block lies, and how large it is, what was not split off included. Of kNothing 0.
  std::int64_t address(Block block) const { return block == kNothing ? 0 : node(block).address; }
  Bytes size(Block block) const { return {block == kNothing ? 0 : node(block).size}; }
  /// Free, but beside live blocks of the same segment: no release gives it back.
  Bytes inactive_split() const;
  /// inactive_split over reserved, 0 where nothing is reserved.
  double fragmentation() const;

  /// A block of a segment, live or free.
  struct Extent {
    std::int64_t address = 0;
    Bytes bytes;
    Bytes requested;           ///< 0 where it is free
    std::int64_t segment = 0;  ///< address of its segment
    int stream = 0;
    bool live = false;
    friend bool operator==(const Extent&, const Extent&) = default;
  };
  std::vector<Extent> extents() const;  ///< by address

 private:
  using Place = std::int32_t;  ///< into nodes_; -1 none
  struct Node {
    std::int64_t address = 0, size = 0, requested = 0;
    Place previous = -1, next = -1;  ///< neighbours in the segment
    std::int32_t stream = 0;
    bool live = false, small = false;
    bool whole() const { return previous < 0 && next < 0; }
  };
  struct Free {
    std::int32_t stream = 0;
    Place place = -1;
    std::int64_t size = 0, address = 0;
    friend bool operator<(const Free& a, const Free& b) {
      if (a.stream != b.stream) return a.stream < b.stream;
      return a.size != b.size ? a.size < b.size : a.address < b.address;
    }
  };
  using Pool = std::pmr::set<Free>;

  Node& node(Place place) { return nodes_[static_cast<std::size_t>(place)]; }
  const Node& node(Place place) const { return nodes_[static_cast<std::size_t>(place)]; }
  const Node& node(Block block) const { return nodes_[static_cast<std::size_t>(block)]; }
  Free key(Place place) const;
  Pool& pool_of(const Node& node) { return pools_[node.small ? 0 : 1]; }
  Place new_node(const Node& value);
  Place best_fit(std::int64_t size, int stream);
  Place reserve(std::int64_t size, int stream);
  void split(Place place, std::int64_t size);
  void merge(Place left, Place right);

  std::int64_t capacity_;
  std::int64_t next_address_ = 0;
  std::vector<Node> nodes_;
  std::vector<Place> spare_;
  std::pmr::unsynchronized_pool_resource memory_;
  std::array<Pool, 2> pools_{Pool(&memory_), Pool(&memory_)};  ///< small, large
  AllocatorStats stats_;
};

}  // namespace foreplan
