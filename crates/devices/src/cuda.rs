//! libtorch's CUDA half: loaded as soon as this crate is, and what stands in its way where no GPU can
//! be used.
//!
//! libtorch asks for its CUDA half once in the life of a process and keeps the answer, whether at the
//! first question about CUDA, the first seed or the first convolution. Nothing in Rust names a symbol
//! of `libtorch_cuda`, so that a linker leaves it out: programs that cargo builds are linked with
//! `--no-as-needed -ltorch` (build.rs), cells of a notebook are not. So a function of this module runs
//! when the library or program that holds this crate is loaded, and loads it.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::driver::Driver;

/// Whether libtorch's CUDA half is there.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Half {
    Loaded,
    /// This libtorch is the build without one.
    None,
    /// It is there and does not load; what the loader said.
    Failed(String),
}

static HALF: OnceLock<Half> = OnceLock::new();

#[cfg(target_os = "linux")]
mod at_load {
    use std::ffi::{CStr, CString, c_char, c_int, c_void};
    use std::os::unix::ffi::OsStrExt as _;
    use std::path::{Path, PathBuf};

    use super::{HALF, Half};

    /// The dynamic loader calls what stands in this section.
    #[used]
    #[unsafe(link_section = ".init_array")]
    static LOAD: extern "C" fn() = load;

    /// Everything else of libtorch has been loaded when this is called; nothing of it has run.
    extern "C" fn load() {
        fused_ops::leave_frames_out();
        HALF.get_or_init(load_half);
    }

    fn load_half() -> Half {
        let loaded = loaded_libraries();
        let Some(folder) = folder_of(&loaded, "libtorch_cpu.so") else { return Half::None };
        let half = folder.join("libtorch_cuda.so");
        if !half.is_file() {
            return Half::None;
        }
        if let Err(problem) = open(&half) {
            return Half::Failed(problem);
        }
        // libnvrtc opens its builtins by their bare name, and cuDNN opens libnvrtc so. Python's `import
        // torch` loads both beforehand. Without them all but what is compiled at run time works.
        for library in compilers(&folder, &loaded_libraries()) {
            let _ = open(&library);
        }
        Half::Loaded
    }

    /// Loads a library for the life of the process.
    fn open(path: &Path) -> Result<(), String> {
        let name = CString::new(path.as_os_str().as_bytes()).map_err(|error| error.to_string())?;
        // SAFETY: initialisers of libtorch_cuda register its kernels with the libtorch that is loaded,
        // as they do under Python.
        let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_LAZY) };
        if !handle.is_null() {
            return Ok(());
        }
        // SAFETY: a string of the loader's, or null.
        let problem = unsafe { libc::dlerror() };
        if problem.is_null() {
            return Err(format!("{} does not load", path.display()));
        }
        // SAFETY: it is not null, and copied before the loader is called again.
        Err(unsafe { CStr::from_ptr(problem) }.to_string_lossy().into_owned())
    }

    /// The files of all libraries in this process.
    fn loaded_libraries() -> Vec<PathBuf> {
        unsafe extern "C" fn add(
            info: *mut libc::dl_phdr_info,
            _size: usize,
            found: *mut c_void,
        ) -> c_int {
            // SAFETY: the loader passes on what `dl_iterate_phdr` was given, and a name that lives as
            // long as the call.
            let (name, found): (*const c_char, _) =
                unsafe { ((*info).dlpi_name, &mut *found.cast::<Vec<PathBuf>>()) };
            if !name.is_null() {
                // SAFETY: as above.
                let name = unsafe { CStr::from_ptr(name) };
                found.push(PathBuf::from(std::ffi::OsStr::from_bytes(name.to_bytes())));
            }
            0
        }
        let mut found: Vec<PathBuf> = Vec::new();
        // SAFETY: `add` is given the vector, and nothing else uses it meanwhile.
        unsafe { libc::dl_iterate_phdr(Some(add), (&raw mut found).cast()) };
        found
    }

    fn folder_of(loaded: &[PathBuf], name: &str) -> Option<PathBuf> {
        let found = loaded.iter().find(|path| path.file_name().is_some_and(|file| file == name))?;
        Some(found.parent()?.to_path_buf())
    }

    /// NVIDIA's run-time compiler and its builtins, of the major version of the CUDA runtime that was
    /// loaded: beside that runtime, in the packages beside torch, or in torch's own folder.
    fn compilers(torch_lib: &Path, loaded: &[PathBuf]) -> Vec<PathBuf> {
        let name_of = |path: &Path| Some(path.file_name()?.to_str()?.to_owned());
        let version_of = |name: &str, library: &str| -> Option<String> {
            let version = name.strip_prefix(library)?.strip_prefix(".so.")?;
            Some(version.split('.').next()?.to_owned())
        };
        let runtime = loaded.iter().find_map(|path| {
            let version = version_of(&name_of(path)?, "libcudart")?;
            Some((path.parent()?.to_path_buf(), version))
        });
        let Some((beside_runtime, major)) = runtime else { return Vec::new() };
        let packages = torch_lib.ancestors().nth(2).map(|packages| packages.join("nvidia"));
        let mut folders = vec![beside_runtime, torch_lib.to_path_buf()];
        let packages = packages.and_then(|folder| std::fs::read_dir(folder).ok());
        folders
            .extend(packages.into_iter().flatten().flatten().map(|each| each.path().join("lib")));
        let find = |library: &str| {
            folders.iter().filter_map(|folder| std::fs::read_dir(folder).ok()).find_map(|files| {
                files.flatten().map(|file| file.path()).find(|file| {
                    let name = name_of(file).unwrap_or_default();
                    version_of(&name, library).is_some_and(|version| version == major)
                })
            })
        };
        ["libnvrtc-builtins", "libnvrtc"].iter().filter_map(|library| find(library)).collect()
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn the_compilers_of_the_runtime_that_is_loaded_are_found_by_pattern() {
            let folder = tempfile::tempdir().unwrap();
            let torch = folder.path().join("torch/lib");
            let file = |path: &str| {
                let path = folder.path().join(path);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(&path, "").unwrap();
                path
            };
            std::fs::create_dir_all(&torch).unwrap();
            let runtime = file("nvidia/cuda_runtime/lib/libcudart.so.12");
            let wanted = [
                file("nvidia/cuda_nvrtc/lib/libnvrtc-builtins.so.12.8"),
                file("nvidia/cuda_nvrtc/lib/libnvrtc.so.12"),
            ];
            for other in ["libnvrtc-builtins.so.13.0", "libnvrtc.so.13", "libnvrtc.alt.so.12"] {
                file(&format!("nvidia/cu13/lib/{other}"));
            }
            assert_eq!(compilers(&torch, &[PathBuf::new(), runtime]), wanted);
            assert!(compilers(&torch, &[]).is_empty());
        }

        /// Through the same names as cuDNN and libnvrtc use. It needs no GPU.
        #[test]
        fn a_kernel_can_be_compiled_at_run_time_where_there_is_cuda() {
            if *HALF.get().unwrap() != Half::Loaded {
                eprintln!("skipped: this libtorch has no CUDA half");
                return;
            }
            let compiler = compilers(
                &folder_of(&loaded_libraries(), "libtorch_cpu.so").unwrap(),
                &loaded_libraries(),
            );
            let name = compiler.last().unwrap().file_name().unwrap();
            type Create = unsafe extern "C" fn(
                *mut *mut c_void,
                *const c_char,
                *const c_char,
                c_int,
                *const c_void,
                *const c_void,
            ) -> c_int;
            type Compile = unsafe extern "C" fn(*mut c_void, c_int, *const *const c_char) -> c_int;
            let mut program = std::ptr::null_mut();
            let none = std::ptr::null();
            // SAFETY: the library's functions have these types (NVRTC's documentation), and the
            // strings live as long as the calls.
            unsafe {
                let library = libloading::Library::new(name).unwrap();
                let create = library.get::<Create>(b"nvrtcCreateProgram").unwrap();
                let compile = library.get::<Compile>(b"nvrtcCompileProgram").unwrap();
                let code = c"__global__ void f(float *x) { *x = __expf(*x); }";
                let created = create(&mut program, code.as_ptr(), c"f".as_ptr(), 0, none, none);
                assert_eq!(created, 0);
                assert_eq!(compile(program, 0, std::ptr::null()), 0);
            }
        }
    }
}

/// What there is to know about CUDA where no GPU can be used.
struct Facts {
    half: Half,
    /// libtorch was asked before its CUDA half was loaded, and will not ask again.
    asked_before: bool,
    driver: Driver,
    /// The CUDA that libtorch was built for, as CUDA counts.
    built_for: i64,
    /// `CUDA_VISIBLE_DEVICES`, if it is set.
    visible: Option<String>,
}

/// What stands in the way of a GPU, and what to do about it. Only where libtorch can use none.
pub(crate) fn obstacle() -> String {
    let half = HALF.get().cloned().unwrap_or(Half::None);
    // SAFETY: the plain calls, since tch's own panics; the error's text is ours to free.
    let version = unsafe {
        let version = torch_sys::at_context_version_cudart();
        let problem = torch_sys::get_and_reset_last_err();
        let known = problem.is_null();
        libc::free(problem.cast());
        known.then_some(version)
    };
    Facts {
        asked_before: half == Half::Loaded && version.is_none(),
        half,
        driver: Driver::ask(),
        built_for: version.unwrap_or(0),
        visible: std::env::var("CUDA_VISIBLE_DEVICES").ok(),
    }
    .obstacle()
}

/// Whether libtorch's CUDA half is there and does not load.
pub(crate) fn failed() -> bool {
    matches!(HALF.get(), Some(Half::Failed(_)))
}

/// Prints to standard error what stands in the way, the first time that it is called. (Under
/// evcxr_jupyter, each cell has its own copy of this crate's statics.)
pub(crate) fn say_obstacle_once() {
    static SAID: AtomicBool = AtomicBool::new(false);
    if !SAID.swap(true, Ordering::Relaxed) {
        eprintln!("The CPU is used, and no GPU: {}.", obstacle());
    }
}

impl Facts {
    fn obstacle(&self) -> String {
        /// CUDA's error for a machine without a GPU, or with none that may be seen.
        const NO_DEVICE: i32 = 100;
        match (&self.half, &self.driver) {
            (Half::None, _) => "this libtorch is PyTorch's build for the CPU alone; install the \
                                one with CUDA"
                .into(),
            (Half::Failed(problem), _) => format!("libtorch_cuda.so does not load: {problem}"),
            _ if self.asked_before => "libtorch was used before googlenet-lib was loaded, and it \
                                       looks for CUDA only once; restart, and load googlenet-lib \
                                       first"
                .into(),
            (_, Driver::Missing) => {
                "there is no NVIDIA driver; install it, or start the container \
                                     with --gpus all"
                    .into()
            }
            (_, Driver::Broken(NO_DEVICE) | Driver::Running { gpus: 0, .. }) => {
                match &self.visible {
                    Some(visible) => format!(
                        "CUDA_VISIBLE_DEVICES is '{visible}', which hides every GPU; unset it"
                    ),
                    None => "the NVIDIA driver finds no GPU; see what nvidia-smi says".into(),
                }
            }
            (_, Driver::Broken(code)) => {
                format!(
                    "the NVIDIA driver does not start (CUDA error {code}); see what nvidia-smi \
                         says"
                )
            }
            (_, Driver::Running { cuda, .. }) if i64::from(*cuda) < self.built_for => format!(
                "the NVIDIA driver runs CUDA up to {}, and this PyTorch is built for {}; update the \
                 driver",
                version(i64::from(*cuda)),
                version(self.built_for)
            ),
            _ => "libtorch finds no GPU that it can use; see what nvidia-smi says".into(),
        }
    }
}

/// 13000 as 13.0.
fn version(cuda: i64) -> String {
    format!("{}.{}", cuda / 1000, cuda % 1000 / 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_obstacle_is_named() {
        let facts = |driver| Facts {
            half: Half::Loaded,
            asked_before: false,
            driver,
            built_for: 13_000,
            visible: None,
        };
        let running = |cuda, gpus| Driver::Running { cuda, gpus };
        let says = |facts: Facts, words: &str| {
            let obstacle = facts.obstacle();
            assert!(obstacle.contains(words), "{obstacle}");
        };
        says(Facts { half: Half::None, ..facts(Driver::Missing) }, "for the CPU alone");
        let failed = Half::Failed("libcudart.so.13: cannot open".into());
        says(Facts { half: failed, ..facts(running(13_000, 1)) }, "libcudart.so.13: cannot open");
        says(Facts { asked_before: true, ..facts(running(13_000, 1)) }, "load googlenet-lib first");
        says(facts(Driver::Missing), "no NVIDIA driver");
        says(facts(Driver::Broken(100)), "finds no GPU");
        says(facts(Driver::Broken(803)), "CUDA error 803");
        says(facts(running(13_000, 0)), "finds no GPU");
        let hidden = |driver| Facts { visible: Some("-1".into()), ..facts(driver) };
        says(hidden(Driver::Broken(100)), "CUDA_VISIBLE_DEVICES is '-1'");
        says(hidden(running(13_000, 0)), "CUDA_VISIBLE_DEVICES is '-1'");
        says(facts(running(12_080, 1)), "CUDA up to 12.8, and this PyTorch is built for 13.0");
        says(facts(running(13_010, 1)), "no GPU that it can use");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_cuda_half_was_loaded_before_anything_was_asked() {
        let half = HALF.get().expect("the loader has called it");
        assert!(!matches!(half, Half::Failed(_)), "{half:?}");
        if *half == Half::Loaded {
            assert!(tch::utils::version_cudart() >= 12_000);
        }
    }
}
