"""The Jupyter project's own tests of a kernel."""

import jupyter_kernel_test as kernel_test
import pytest


@pytest.mark.usefixtures("own_state")
class TestConformance(kernel_test.KernelTests):
    kernel_name = "googlenet"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # Its tests wait 15 s for a reply. The first cell waits for what all cells share, the first question
        # for the sources of the standard library.
        cls.kc.execute_interactive("1", timeout=120)
        cls.kc.complete("String::", reply=True, timeout=120)

    language_name = "rust"
    file_extension = ".rs"

    code_hello_world = 'println!("hello, world");'
    code_stderr = 'eprintln!("oops");'
    completion_samples = [
        {"text": "let number = 1; number.leading_ze", "matches": {"leading_zeros"}},
    ]
    complete_code_samples = ["1 + 1", "fn f() {}", 'println!("a");']
    incomplete_code_samples = ["fn f() {", "let x =", '"text']
    invalid_code_samples = ["}", "fn fn f() {}", "f(]"]
    code_generate_error = 'panic!("expected");'
    code_execute_result = [
        {"code": "6 * 7", "result": "42"},
        {"code": '"text"', "mime": "text/plain"},
    ]
    code_display_data = [
        {
            "code": 'println!("EVCXR_BEGIN_CONTENT text/html\\n<b>\\nEVCXR_END_CONTENT");\n'
            'println!("after");',
            "mime": "text/html",
        }
    ]
    code_clear_output = (
        r'println!("EVCXR_JUPYTER_MESSAGE {}", '
        r'"{\"type\":\"clear_output\",\"content\":{\"wait\":false}}");'
    )
    code_history_pattern = "6 ? *"
    supported_history_operations = ("tail", "range", "search")
    code_inspect_sample = "Vec::<i32>::new"

    # The pager is IPython's own; its test is the one that is skipped.


@pytest.mark.usefixtures("own_state")
class TestWelcome(kernel_test.IopubWelcomeTests):
    kernel_name = "googlenet"
    support_iopub_welcome = True
