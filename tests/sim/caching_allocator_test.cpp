#include "sim/caching_allocator.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>

#include "sim/error.hpp"
#include "tests/sim/naive_allocator.hpp"

namespace foreplan {
namespace {

using ::testing::SizeIs;
using ::testing::ThrowsMessage;
using Block = CachingAllocator::Block;
using Extent = CachingAllocator::Extent;

constexpr std::int64_t kKiB = 1024, kMiB = 1024 * kKiB;

Block got(CachingAllocator& allocator, std::int64_t bytes, int stream = 0) {
  return allocator.allocate(Bytes{bytes}, stream).value();
}

/// Address of the live block that was asked for with so many bytes; -1: none, or several.
std::int64_t address_of(const CachingAllocator& allocator, std::int64_t requested) {
  std::int64_t found = -1;
  for (const Extent& extent : allocator.extents()) {
    if (!extent.live || extent.requested.count != requested) continue;
    if (found >= 0) return -1;
    found = extent.address;
  }
  return found;
}

// 1 B is 512 B of a segment of 2 MiB; 513 B are 1,024 B of the same.
TEST(CachingAllocator, RoundsUpTo512Bytes) {
  CachingAllocator allocator;
  got(allocator, 1);
  EXPECT_EQ(allocator.stats().requested, 1_B);
  EXPECT_EQ(allocator.stats().allocated, 512_B);
  EXPECT_EQ(allocator.stats().reserved, Bytes{2 * kMiB});
  got(allocator, 513);
  EXPECT_EQ(allocator.stats().allocated, Bytes{512 + 1024});
  EXPECT_EQ(allocator.stats().reserved, Bytes{2 * kMiB});
  EXPECT_EQ(address_of(allocator, 513), 512);
}

TEST(CachingAllocator, HoldsNothingForNoBytes) {
  CachingAllocator allocator;
  EXPECT_EQ(got(allocator, 0), CachingAllocator::kNothing);
  allocator.free(CachingAllocator::kNothing);
  EXPECT_EQ(allocator.stats().reserved, 0_B);
  EXPECT_THAT(allocator.extents(), SizeIs(0));
}

/// What one request of so many bytes reserves, and the size of its block.
struct First {
  std::int64_t reserved = 0, allocated = 0;
  friend bool operator==(const First&, const First&) = default;
};
First first(std::int64_t bytes) {
  CachingAllocator allocator;
  got(allocator, bytes);
  return {allocator.stats().reserved.count, allocator.stats().allocated.count};
}

// A small segment is 2 MiB, up to 1 MiB; a middle one 20 MiB, below 10 MiB; above the next 2 MiB. Of
// 11 MiB + 1 B in 12 MiB, 1 MiB - 512 B are left: no more than 1 MiB, so they go with the block. Of 10 MiB
// + 512 KiB, rounded up to 12 MiB, 1.5 MiB are left and split off.
TEST(CachingAllocator, ReservesSegmentsBySizeOfTheRequest) {
  EXPECT_EQ(first(kMiB), (First{2 * kMiB, kMiB}));
  EXPECT_EQ(first(kMiB + 1), (First{20 * kMiB, kMiB + 512}));
  EXPECT_EQ(first(10 * kMiB - 512), (First{20 * kMiB, 10 * kMiB - 512}));
  EXPECT_EQ(first(10 * kMiB), (First{10 * kMiB, 10 * kMiB}));
  EXPECT_EQ(first(10 * kMiB + 512 * kKiB), (First{12 * kMiB, 10 * kMiB + 512 * kKiB}));
  EXPECT_EQ(first(11 * kMiB), (First{12 * kMiB, 12 * kMiB}));
  EXPECT_EQ(first(11 * kMiB + 1), (First{12 * kMiB, 12 * kMiB}));
}

// Small: 1 MiB and 1 MiB - 512 B leave 512 B of 2 MiB, a block of its own. Large: 9 MiB and 10 MiB - 512 B
// leave 1 MiB + 512 B of 20 MiB, which is split off; of 10 MiB 1 MiB is left, which is not.
TEST(CachingAllocator, SplitsFrom512BytesInTheSmallPoolAndAboveOneMebibyteInTheLarge) {
  CachingAllocator small;
  got(small, kMiB);
  got(small, kMiB - 512);
  EXPECT_EQ(small.stats().allocated, Bytes{2 * kMiB - 512});
  got(small, 512);
  EXPECT_EQ(small.stats().reserved, Bytes{2 * kMiB});

  CachingAllocator split;
  got(split, 9 * kMiB);
  got(split, 10 * kMiB - 512);
  EXPECT_EQ(split.stats().allocated, Bytes{19 * kMiB - 512});
  EXPECT_THAT(split.extents(), SizeIs(3));

  CachingAllocator whole;
  got(whole, 9 * kMiB);
  got(whole, 10 * kMiB);
  EXPECT_EQ(whole.stats().allocated, Bytes{20 * kMiB});
  EXPECT_THAT(whole.extents(), SizeIs(2));
  EXPECT_EQ(whole.stats().reserved, Bytes{20 * kMiB});
}

// Segments of 14, 12 and 16 MiB, at 0, 14 and 26 MiB, freed. 11.5 MiB fit best into 12 MiB, at 14 MiB.
TEST(CachingAllocator, TakesTheSmallestFreeBlockThatFits) {
  CachingAllocator allocator;
  std::vector<Block> blocks;
  for (const std::int64_t size : {14, 12, 16}) blocks.push_back(got(allocator, size * kMiB));
  for (const Block block : blocks) allocator.free(block);
  const std::int64_t size = 11 * kMiB + 512 * kKiB;
  got(allocator, size);
  EXPECT_EQ(address_of(allocator, size), 14 * kMiB);
  EXPECT_EQ(allocator.stats().allocated, Bytes{12 * kMiB});
  EXPECT_EQ(allocator.stats().reserved, Bytes{42 * kMiB});
}

// Two equal segments, freed second first: the one at 0 is taken.
TEST(CachingAllocator, TakesTheLowestAddressOfEqualBlocks) {
  CachingAllocator allocator;
  const Block a = got(allocator, 12 * kMiB), b = got(allocator, 12 * kMiB);
  allocator.free(b);
  allocator.free(a);
  got(allocator, 12 * kMiB);
  EXPECT_EQ(address_of(allocator, 12 * kMiB), 0);
}

// The free 20 MiB of the large pool do not serve 1 MiB, nor the small pool's 2 MiB a request above it.
TEST(CachingAllocator, KeepsSmallAndLargeApart) {
  CachingAllocator allocator;
  allocator.free(got(allocator, 5 * kMiB));
  got(allocator, kMiB);
  EXPECT_EQ(allocator.stats().reserved, Bytes{22 * kMiB});
  EXPECT_EQ(allocator.stats().segments, 2);
}

TEST(CachingAllocator, KeepsStreamsApart) {
  CachingAllocator allocator;
  allocator.free(got(allocator, 30 * kMiB, 1));
  got(allocator, 30 * kMiB, 0);
  got(allocator, 30 * kMiB, 2);
  EXPECT_EQ(allocator.stats().reserved, Bytes{90 * kMiB});
  got(allocator, 30 * kMiB, 1);
  EXPECT_EQ(allocator.stats().reserved, Bytes{90 * kMiB});
}

// 20 MiB in blocks of 4 MiB, the last one's 4 MiB whole. Freed first and third: two holes. With the second
// they are one of 12 MiB, where 12 MiB fit without another segment.
TEST(CachingAllocator, MergesFreedNeighboursOfASegment) {
  CachingAllocator allocator;
  std::vector<Block> blocks;
  for (int i = 0; i < 5; ++i) blocks.push_back(got(allocator, 4 * kMiB));
  EXPECT_EQ(allocator.stats().reserved, Bytes{20 * kMiB});
  allocator.free(blocks[0]);
  allocator.free(blocks[2]);
  EXPECT_THAT(allocator.extents(), SizeIs(5));
  EXPECT_EQ(allocator.inactive_split(), Bytes{8 * kMiB});
  EXPECT_DOUBLE_EQ(allocator.fragmentation(), 0.4);
  allocator.free(blocks[1]);
  EXPECT_THAT(allocator.extents(), SizeIs(3));
  got(allocator, 12 * kMiB);
  EXPECT_EQ(allocator.stats().reserved, Bytes{20 * kMiB});
  EXPECT_EQ(allocator.inactive_split(), 0_B);
}

// Two segments of 10 MiB side by side are not one of 20 MiB.
TEST(CachingAllocator, DoesNotMergeAcrossSegments) {
  CachingAllocator allocator;
  const Block a = got(allocator, 10 * kMiB), b = got(allocator, 10 * kMiB);
  allocator.free(a);
  allocator.free(b);
  got(allocator, 20 * kMiB);
  EXPECT_EQ(allocator.stats().reserved, Bytes{40 * kMiB});
}

// Of 64 MiB, 40 are cached in two segments and 20 in one with a live block. 30 MiB need the two back; the
// third stays, and 30 + 20 fit.
TEST(CachingAllocator, ReleasesSegmentsWithoutLiveBlocksBeforeItGivesUp) {
  CachingAllocator allocator(Bytes{64 * kMiB});
  const Block a = got(allocator, 20 * kMiB), b = got(allocator, 20 * kMiB);
  got(allocator, 5 * kMiB);
  allocator.free(a);
  allocator.free(b);
  EXPECT_EQ(allocator.stats().reserved, Bytes{60 * kMiB});
  EXPECT_TRUE(allocator.allocate(Bytes{30 * kMiB}));
  EXPECT_EQ(allocator.stats().retries, 1);
  EXPECT_EQ(allocator.stats().reserved, Bytes{50 * kMiB});
  EXPECT_EQ(allocator.stats().peak_reserved, Bytes{60 * kMiB});
  EXPECT_EQ(allocator.stats().segments, 2);
}

// 15 MiB of the live segment are free, but no 16 MiB are to be had.
TEST(CachingAllocator, GivesNothingWhereMemoryDoesNotSuffice) {
  CachingAllocator allocator(Bytes{30 * kMiB});
  got(allocator, 5 * kMiB);
  EXPECT_FALSE(allocator.allocate(Bytes{16 * kMiB}));
  EXPECT_EQ(allocator.stats().allocated, Bytes{5 * kMiB});
  EXPECT_TRUE(allocator.allocate(Bytes{15 * kMiB}));
  EXPECT_EQ(allocator.stats().reserved, Bytes{20 * kMiB});
}

TEST(CachingAllocator, KeepsItsPeaks) {
  CachingAllocator allocator;
  const Block a = got(allocator, 30 * kMiB - 5), b = got(allocator, 12 * kMiB);
  allocator.free(a);
  allocator.free(b);
  allocator.release_cached();
  const AllocatorStats& stats = allocator.stats();
  EXPECT_EQ(stats.peak_requested, Bytes{42 * kMiB - 5});
  EXPECT_EQ(stats.peak_allocated, Bytes{42 * kMiB});
  EXPECT_EQ(stats.peak_reserved, Bytes{42 * kMiB});
  EXPECT_EQ(stats.requested, 0_B);
  EXPECT_EQ(stats.allocated, 0_B);
  EXPECT_EQ(stats.reserved, 0_B);
  EXPECT_EQ(stats.segments, 0);
  EXPECT_EQ(allocator.fragmentation(), 0);
}

TEST(CachingAllocator, RejectsWhatItCannotDo) {
  CachingAllocator allocator;
  EXPECT_THAT([&] { allocator.allocate(Bytes{-1}); },
              ThrowsMessage<Error>("allocator: expected 0 B to 1 EiB, got -1 B"));
  EXPECT_THAT([] { CachingAllocator{Bytes{-1}}; },
              ThrowsMessage<Error>("allocator: expected a capacity from 0 B to 1 EiB, got -1 B"));
  const Block block = got(allocator, 1);
  allocator.free(block);
  EXPECT_THAT([&] { allocator.free(block); },
              ThrowsMessage<Error>("allocator: expected a live block to free, got block 0"));
  EXPECT_THAT([&] { allocator.free(Block{77}); },
              ThrowsMessage<Error>("allocator: expected a live block to free, got block 77"));
}

/// Blocks fill their segments without gap or overlap, free neighbours are one, and the sums are right.
void check_layout(const CachingAllocator& allocator) {
  const std::vector<Extent> extents = allocator.extents();
  Bytes live, all;
  for (std::size_t i = 0; i < extents.size(); ++i) {
    all += extents[i].bytes;
    if (extents[i].live) live += extents[i].bytes;
    ASSERT_GE(extents[i].bytes, extents[i].requested);
    ASSERT_EQ(extents[i].bytes.count % 512, 0);
    if (i == 0) continue;
    const Extent& before = extents[i - 1];
    if (before.segment != extents[i].segment) {
      ASSERT_EQ(extents[i].address, extents[i].segment);
      ASSERT_LE(before.address + before.bytes.count, extents[i].address);
    } else {
      ASSERT_EQ(before.address + before.bytes.count, extents[i].address);
      ASSERT_TRUE(before.live || extents[i].live);
    }
  }
  ASSERT_EQ(live, allocator.stats().allocated);
  ASSERT_EQ(all, allocator.stats().reserved);
  ASSERT_LE(live, all);
}

/// Sizes of all kinds: of a few bytes, around the limits, and of many MiB.
std::int64_t random_size(std::mt19937& random) {
  const std::int64_t limits[] = {512, kMiB, 2 * kMiB, 10 * kMiB, 20 * kMiB};
  switch (random() % 4) {
    case 0:
      return 1 + static_cast<std::int64_t>(random() % (64 * kKiB));
    case 1:
      return limits[random() % 5] + static_cast<std::int64_t>(random() % 3) - 1;
    case 2:
      return 1 + static_cast<std::int64_t>(random() % (4 * kMiB));
    default:
      return 1 + static_cast<std::int64_t>(random() % (40 * kMiB));
  }
}

// Everything freed, each segment is one free block, and a release leaves nothing.
TEST(CachingAllocator, KeepsItsLayoutInAnyOrderOfCalls) {
  std::mt19937 random(11);
  for (int trial = 0; trial < 20; ++trial) {
    CachingAllocator allocator;
    std::vector<Block> live;
    for (int call = 0; call < 200; ++call) {
      if (live.empty() || random() % 5 < 3) {
        live.push_back(got(allocator, random_size(random), static_cast<int>(random() % 2)));
      } else {
        std::swap(live[random() % live.size()], live.back());
        allocator.free(live.back());
        live.pop_back();
      }
      ASSERT_NO_FATAL_FAILURE(check_layout(allocator));
    }
    for (const Block block : live) allocator.free(block);
    EXPECT_EQ(allocator.stats().allocated, 0_B);
    EXPECT_THAT(allocator.extents(), SizeIs(allocator.stats().segments));
    EXPECT_EQ(allocator.inactive_split(), 0_B);
    allocator.release_cached();
    EXPECT_EQ(allocator.stats().reserved, 0_B);
  }
}

// Two ways to write the same rules: this one walks through every block of every segment.
TEST(CachingAllocator, DoesWhatANaiveOneDoes) {
  std::mt19937 random(5);
  for (int trial = 0; trial < 40; ++trial) {
    const Bytes capacity = trial % 2 == 0 ? Bytes{400 * kMiB} : CachingAllocator::kUnlimited;
    CachingAllocator allocator(capacity);
    NaiveAllocator naive(capacity.count);
    std::vector<std::pair<Block, std::int64_t>> live;  // block, address
    for (int call = 0; call < 400; ++call) {
      if (live.empty() || random() % 7 < 4) {
        const std::int64_t size = random_size(random);
        const int stream = static_cast<int>(random() % 3);
        const auto block = allocator.allocate(Bytes{size}, stream);
        const std::int64_t address = naive.allocate(size, stream);
        ASSERT_EQ(block.has_value(), address >= 0);
        if (block) live.emplace_back(*block, address);
      } else {
        std::swap(live[random() % live.size()], live.back());
        allocator.free(live.back().first);
        naive.free(live.back().second);
        live.pop_back();
      }
      ASSERT_EQ(allocator.stats().reserved.count, naive.reserved());
      ASSERT_EQ(allocator.stats().allocated.count, naive.allocated());
      ASSERT_EQ(allocator.stats().retries, naive.retries());
    }
    std::vector<std::pair<std::int64_t, std::int64_t>> layout;
    for (const Extent& extent : allocator.extents()) {
      layout.emplace_back(extent.address, extent.live ? extent.bytes.count : -extent.bytes.count);
    }
    EXPECT_EQ(layout, naive.layout());
  }
}

}  // namespace
}  // namespace foreplan
