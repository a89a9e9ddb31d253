//! Soundness by attack: random edits of a project, each of which must come to the same image with and without memory.
//!
//! `TAKELAGE_TEST_EDITS` says how many, `TAKELAGE_TEST_SEED` which ones.

use std::fmt::Write as _;

use crate::{need_everything, yard::Yard, yard::variable};

/// A small generator of random numbers; any will do as long as a seed gives the same ones.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap()
    }
}

/// What a project is made of, in numbers that an edit changes.
#[derive(Debug, Clone)]
struct Project {
    /// Kind and number of each task, in order.
    tasks: Vec<(usize, usize)>,
    /// What variables, templates, files and sources say.
    variable: usize,
    group: usize,
    default: usize,
    template: usize,
    file: usize,
    module: usize,
    environment: usize,
}

const KINDS: usize = 11;

impl Project {
    fn new(random: &mut Random) -> Self {
        let tasks = (0..6).map(|number| (random.below(KINDS), number)).collect();
        Self { tasks, variable: 0, group: 0, default: 0, template: 0, file: 0, module: 0, environment: 0 }
    }

    fn edit(&mut self, random: &mut Random, number: usize) -> &'static str {
        let value = random.below(3);
        let place = random.below(self.tasks.len());
        match random.below(11) {
            0 => (self.variable = value, "a variable").1,
            1 => (self.group = value, "a group's variable").1,
            2 => (self.default = value, "a role's default").1,
            3 => (self.template = value, "a template").1,
            4 => (self.file = value, "a file").1,
            5 => (self.module = value, "a module's source").1,
            6 => (self.environment = value, "the environment").1,
            7 => {
                let task = self.tasks.remove(place);
                let to = random.below(self.tasks.len() + 1);
                self.tasks.insert(to, task);
                "the order of tasks"
            }
            8 => (self.tasks.insert(place, (random.below(KINDS), 100 + number)), "one more task").1,
            9 if self.tasks.len() > 3 => (self.tasks.truncate(self.tasks.len() - 1), "no last task").1,
            _ => (self.tasks[place] = (random.below(KINDS), self.tasks[place].1), "another task").1,
        }
    }

    fn write(&self, yard: &mut Yard) {
        let mut tasks = String::new();
        for (kind, number) in &self.tasks {
            let task = match kind {
                0 => format!("ansible.builtin.copy: {{content: \"{{{{ variable }}}}\", dest: /copy{number}}}"),
                1 => format!("ansible.builtin.template: {{src: template.j2, dest: /template{number}}}"),
                2 => format!("ansible.builtin.copy: {{src: file, dest: /file{number}, mode: '0640'}}"),
                3 => format!("ansible.builtin.shell: ls / | wc -l > /count{number}"),
                4 => "ansible.builtin.lineinfile: {path: /lines, line: \"{{ group }}\", create: true}".to_owned(),
                5 => format!("own: {{path: /own{number}}}"),
                6 => "ansible.builtin.include_role: {name: part}".to_owned(),
                7 => "ansible.builtin.file: {path: \"/each/{{ item }}\", state: directory}\n      loop: [\"{{ variable }}\", b]"
                    .to_owned(),
                8 => format!(
                    "ansible.builtin.command: cat /lines\n      register: read\n      failed_when: false\n      notify: handle\n    - \
                     ansible.builtin.copy: {{content: \"{{{{ read.stdout }}}}\", dest: /read{number}}}"
                ),
                9 => format!(
                    "ansible.builtin.shell: id -un > /tmp/who{number}\n      become: true\n      become_user: games"
                ),
                _ => format!("ansible.builtin.raw: echo {{{{ group }}}} >> /raw; cat /raw > /raw{number}"),
            };
            writeln!(tasks, "    - name: task {number}\n      {task}").unwrap();
        }
        yard.write(
            "app.yml",
            &format!(
                "- hosts: all\n  gather_facts: false\n  vars: {{ansible_python_interpreter: /usr/bin/python3, variable: v{}}}\n  \
                 tasks:\n{tasks}  handlers:\n    - name: handle\n      ansible.builtin.lineinfile: {{path: /handled, line: \
                 \"{{{{ lookup('env', 'BERTH') }}}}\", create: true}}\n",
                self.variable
            ),
        );
        yard.write("group_vars/all.yml", &format!("group: g{}\n", self.group));
        yard.write("roles/part/defaults/main.yml", &format!("default: d{}\n", self.default));
        yard.write(
            "roles/part/tasks/main.yml",
            "- ansible.builtin.copy: {content: \"{{ default }}\", dest: \"/part{{ default }}\"}\n",
        );
        yard.write("templates/template.j2", &format!("t{} {{{{ group }}}}\n", self.template));
        yard.write("files/file", &format!("f{}\n", self.file));
        yard.write(
            "library/own.py",
            &format!(
                "#!/usr/bin/python\nfrom ansible.module_utils.basic import AnsibleModule\nmodule = AnsibleModule({{'path': \
                 {{'type': 'str'}}}})\nwith open(module.params['path'], 'a') as file:\n    \
                 file.write('m{}')\nmodule.exit_json(changed=True)\n",
                self.module
            ),
        );
        yard.write("ansible.cfg", "[defaults]\nlibrary = library\n");
        yard.set("BERTH", &format!("e{}", self.environment));
    }
}

#[test]
fn embedded_memory_is_sound_under_random_edits() {
    need_everything!();
    let number = |name: &str, default: u64| variable(name).map_or(default, |text| text.parse().unwrap());
    let (edits, seed) = (number("TAKELAGE_TEST_EDITS", 8), number("TAKELAGE_TEST_SEED", 20));
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let mut project = Project::new(&mut random);
    let mut yard = Yard::new("random", "embedded", "");
    let (mut reused, mut all) = (0, 0);
    project.write(&mut yard);
    yard.produce();
    for edit in 0..edits {
        let what = project.edit(&mut random, usize::try_from(edit).unwrap());
        project.write(&mut yard);
        let run = yard.produce();
        reused += run.explained["reused"].as_u64().unwrap();
        all += run.explained["requests"].as_u64().unwrap();
        let (with, without) = (yard.files(), {
            let run = yard.run(&["--no-cache", "produce"]);
            assert_eq!(run.status, Some(0), "{run}");
            yard.files()
        });
        let differing: Vec<_> = with
            .keys()
            .chain(without.keys())
            .filter(|path| with.get(*path) != without.get(*path))
            .map(|path| (path, with.get(path), without.get(path)))
            .collect();
        assert!(differing.is_empty(), "seed {seed}, edit {edit}, {what}: {differing:#?}\n{project:#?}");
    }
    assert!(reused * 3 > all, "{reused} of {all} requests came from memory: it is hardly of use");
}
