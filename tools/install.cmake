# `cmake --install BUILD --prefix DIR --strip` makes a folder that can be moved to another machine: the command,
# the plugins, the shipped files, the tests that want a GPU where they were built, and every shared library that a
# bare machine with glibc 2.36 (and, for GPUs, a driver and CUDA 13) would lack.

set(not_bundled
    "^ld-linux" "^libc\\.so" "^libm\\.so" "^libpthread\\.so" "^libdl\\.so" "^librt\\.so" "^libutil\\.so"
    # CUDA's own, of the machine: too large to carry, and tied to its driver.
    "^libcublas" "^libcuda\\.so" "^libnvidia" "^libnvrtc")
set(bundle_folders /lib /usr/lib /usr/local/lib)
if(FOREPLAN_CUDA_FOUND)
  list(APPEND bundle_folders "${CUDAToolkit_LIBRARY_DIR}")
endif()

set(installed_programs foreplan)
# The tests of what the machine that the bundle is for has; the others say the same everywhere.
foreach(tests cuda_gpu_tests)
  if(TARGET ${tests})
    list(APPEND installed_programs ${tests})
  endif()
endforeach()
set(installed_plugins)
foreach(plugin foreplan_cuda foreplan_cupti)
  if(TARGET ${plugin})
    list(APPEND installed_plugins ${plugin})
  endif()
endforeach()

foreach(program ${installed_programs})
  get_target_property(rpath ${program} INSTALL_RPATH)
  if(NOT rpath)
    set_target_properties(${program} PROPERTIES INSTALL_RPATH "$ORIGIN/../lib")
  endif()
  # DT_RPATH, not DT_RUNPATH: what the bundled libraries need is to be found in the bundle too.
  target_link_options(${program} PRIVATE -Wl,--disable-new-dtags)
endforeach()

install(TARGETS ${installed_programs} ${installed_plugins}
        RUNTIME_DEPENDENCIES PRE_EXCLUDE_REGEXES ${not_bundled} DIRECTORIES ${bundle_folders}
        RUNTIME DESTINATION bin LIBRARY DESTINATION lib)
install(FILES models/collectives.json DESTINATION share/foreplan)
install(DIRECTORY models/zoo models/devices models/clusters models/stacks models/published DESTINATION share/foreplan
        FILES_MATCHING PATTERN "*.json")
install(PROGRAMS tools/gpu_check DESTINATION bin)
install(FILES README.md LICENSE DESTINATION share/foreplan)
