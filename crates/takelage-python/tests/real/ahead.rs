//! What a warm interpreter imports ahead, and what it does not, without Ansible around it.

use std::process::Command;

use takelage_testkit::skip;

/// Makes archives as payloads have them, and imports from them as a fork does.
const CHECKS: &str = r#"
import tempfile
executed = builtins.executed = []
FILES = {
    "ansible/__init__.py": "",
    "ansible/module_utils/__init__.py": "",
    "ansible/module_utils/one.py": "import builtins; builtins.executed.append('one'); from ansible.module_utils.sub import two\nPLACE = __file__",
    "ansible/module_utils/sub/__init__.py": "",
    "ansible/module_utils/sub/two.py": "import builtins; builtins.executed.append('two'); MORE = 2",
    "ansible/module_utils/theirs.py": "import builtins; builtins.executed.append('theirs')",
    "ansible/module_utils/broken.py": "raise ImportError('as planned')",
}
own = {hashlib.sha256(text.encode()).hexdigest() for name, text in FILES.items() if "theirs" not in name}
sources, stock = Sources(), Stock()

def payload(files):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name), text)
    return data.getvalue()

def imported(files, expected):
    del executed[:]
    content = payload(files)
    archive = sources.of(b"zip_data='" + base64.b64encode(content) + b"'")
    stock.fill(archive, sources.codes, own)
    ahead = list(executed)
    del executed[:]
    process = os.fork()
    if process == 0:
        path = os.path.join(tempfile.mkdtemp(), "payload.zip")
        with open(path, "wb") as file:
            file.write(content)
        sys.path.insert(0, path)
        sys.path_hooks.insert(0, importer(archive, sources, stock if stock.agrees(archive) else None))
        import ansible.module_utils.one as one
        import ansible.module_utils.theirs
        assert one.PLACE == one.__file__ == path + "/ansible/module_utils/one.py", one.PLACE
        assert sys.modules["ansible.module_utils.sub"].two is one.two
        assert (ahead, executed) == expected, (ahead, executed)
        os._exit(0)
    status = os.waitpid(process, 0)[1]
    assert status == 0 and not stock.closed, status
    assert not [name for name in sys.modules if name.startswith("ansible")]

imported(FILES, (["one", "two"], ["theirs"]))
imported(FILES, ([], ["theirs"]))
# One that is not ansible-core's own takes the place of one that is: all is imported anew, from where it is.
imported(dict(FILES, **{"ansible/module_utils/sub/two.py": FILES["ansible/module_utils/sub/two.py"] + "0"}), ([], ["one", "two", "theirs"]))
imported(FILES, ([], ["theirs"]))
"#;

#[test]
fn ansible_only_its_own_sources_are_imported_ahead_and_only_where_all_agree() {
    let program = concat!(include_str!("../../python/zygote/sources.py"), "\n");
    // Without packages: beside another Ansible nothing is imported ahead.
    match Command::new("python3").args(["-I", "-S", "-c", &format!("{program}{CHECKS}")]).output() {
        Err(error) => skip!("there is no python3: {error}"),
        Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr)),
    }
}
