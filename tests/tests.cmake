find_package(GTest REQUIRED)
include(GoogleTest)

# One test program a floor: tests/<floor>/*_test.cpp.
foreach(floor sim models planner profiler runtime tools)
  file(GLOB sources CONFIGURE_DEPENDS tests/${floor}/*.cpp)
  if(sources)
    add_executable(${floor}_tests ${sources})
    target_link_libraries(${floor}_tests PRIVATE foreplan_${floor} GTest::gmock GTest::gtest_main)
    # Tests are compiled to be built fast: what they measure is compiled as users have it.
    target_compile_options(${floor}_tests PRIVATE -O1)
    target_precompile_headers(${floor}_tests PRIVATE <gmock/gmock.h> <gtest/gtest.h> <string>
                              <vector>)
    target_compile_definitions(${floor}_tests PRIVATE
                               FOREPLAN_SOURCE_DIR="${CMAKE_CURRENT_SOURCE_DIR}"
                               FOREPLAN_COMMAND="$<TARGET_FILE:foreplan>")
    gtest_discover_tests(${floor}_tests DISCOVERY_MODE PRE_TEST
                         WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR})
  endif()
endforeach()
# Every reader against mutated input; FOREPLAN_FUZZ builds a fuzzer of the same readers.
add_executable(fuzz_tests tests/fuzz/readers_test.cpp tests/fuzz/targets.cpp tests/fuzz/mutation.cpp)
target_link_libraries(fuzz_tests PRIVATE foreplan_planner GTest::gtest_main)
target_compile_options(fuzz_tests PRIVATE -O1)
target_compile_definitions(fuzz_tests PRIVATE FOREPLAN_SOURCE_DIR="${CMAKE_CURRENT_SOURCE_DIR}")
gtest_discover_tests(fuzz_tests DISCOVERY_MODE PRE_TEST)

# What is true of every step, asked of random ones: some by a test, a million by
# random_strategies 1000000 (see there).
target_sources(planner_tests PRIVATE tests/properties/random_step.cpp
               tests/properties/random_search.cpp tests/properties/step_properties.cpp)
add_executable(random_strategies tests/properties/random_strategies.cpp
               tests/properties/random_step.cpp tests/properties/step_properties.cpp)
target_link_libraries(random_strategies PRIVATE foreplan_planner)
target_compile_definitions(random_strategies PRIVATE
                           FOREPLAN_SOURCE_DIR="${CMAKE_CURRENT_SOURCE_DIR}")

# The same of searches: random_searches plans 10000, random_searches bounds 1000000.
add_executable(random_searches tests/properties/random_searches.cpp
               tests/properties/random_search.cpp tests/properties/random_step.cpp)
target_link_libraries(random_searches PRIVATE foreplan_planner)
target_compile_definitions(random_searches PRIVATE
                           FOREPLAN_SOURCE_DIR="${CMAKE_CURRENT_SOURCE_DIR}")

if(TARGET tools_tests)
  add_dependencies(tools_tests foreplan)
endif()

if(FOREPLAN_CUDA_FOUND)
  include(tests/cuda_tests.cmake)
endif()

find_package(Python3 REQUIRED COMPONENTS Interpreter)
add_test(NAME Floors.AreKept
         COMMAND Python3::Interpreter ${CMAKE_CURRENT_SOURCE_DIR}/tools/check_layers.py
         WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR})
add_test(NAME Floors.BrokenOnesAreFound
         COMMAND Python3::Interpreter tests/tools/check_layers_test.py
         WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR})
add_test(NAME SimuMax.SystemFilesAreConverted
         COMMAND Python3::Interpreter tests/tools/convert_simumax_test.py
         WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR})
add_test(NAME SearchGrowth.IsWrittenAndDrawn
         COMMAND Python3::Interpreter tests/tools/search_growth_test.py
         WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR})
add_test(NAME Readme.ExamplesRun
         COMMAND Python3::Interpreter tests/tools/readme_test.py README.md $<TARGET_FILE_DIR:foreplan>
         WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR})
# What measures wants the cores for itself.
set_tests_properties(Readme.ExamplesRun PROPERTIES RUN_SERIAL ON TIMEOUT 300)
