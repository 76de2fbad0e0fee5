find_package(GTest REQUIRED)
include(GoogleTest)

# One test program a floor: tests/<floor>/*_test.cpp.
foreach(floor sim models planner profiler runtime tools)
  file(GLOB sources CONFIGURE_DEPENDS tests/${floor}/*.cpp)
  if(sources)
    add_executable(${floor}_tests ${sources})
    target_link_libraries(${floor}_tests PRIVATE foreplan_${floor} GTest::gmock GTest::gtest_main)
    target_compile_definitions(${floor}_tests PRIVATE
                               FOREPLAN_SOURCE_DIR="${CMAKE_CURRENT_SOURCE_DIR}"
                               FOREPLAN_COMMAND="$<TARGET_FILE:foreplan>")
    gtest_discover_tests(${floor}_tests DISCOVERY_MODE PRE_TEST
                         WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR})
  endif()
endforeach()
if(TARGET tools_tests)
  add_dependencies(tools_tests foreplan)
endif()
