//! The list of what every engine must do, once for each engine.

/// Makes a test of each function of the suite, in modules of the given names. The function that makes a bench returns
/// `None` where the engine is missing.
macro_rules! suite {
    ($bench:path: $lifecycle:ident $exec:ident $files:ident $images:ident $commit:ident $snapshot:ident $volume:ident $systemd:ident $network:ident) => {
        tests! {
            $bench;
            $lifecycle = lifecycle:
                a_container_is_listed_by_its_labels_until_it_is_removed
                a_name_is_taken_once
                an_image_that_is_not_there_is_named
                a_waiting_container_stops_at_once_and_reaps
                a_command_that_ends_at_once_is_told_with_its_log
                a_start_that_fails_leaves_nothing
                the_images_own_command_runs
                a_command_replaces_entrypoint_and_command
                only_listed_devices_can_be_opened
                every_part_of_a_specification_arrives;
            $exec = exec:
                output_comes_in_order_and_apart
                every_end_has_its_status
                a_program_that_cannot_start_says_why
                standard_input_is_all_there_and_ends
                users_environment_and_directory_are_set
                much_output_arrives_whole
                a_closed_channel_discards_the_rest
                twenty_at_once_do_not_mix
                a_container_that_is_gone_is_named;
            $files = files:
                a_tree_comes_back_as_it_was
                the_same_with_gnu_tar_in_the_image
                the_same_without_tar_in_the_image
                missing_paths_are_named
                a_tmpfs_is_written_and_read
                a_stopped_container_takes_and_gives_files
                much_content_goes_through
                an_export_has_everything;
            $images = images:
                an_image_is_found_by_name_and_id
                names_move_and_go
                a_saved_image_loads_as_the_same
                a_saved_layout_loads_as_the_same
                a_file_is_replaced_by_a_whole_one_only
                an_oci_layout_loads
                a_root_file_system_loads
                saving_what_is_not_there_fails_and_writes_nothing;
            $commit = commit:
                the_image_has_the_given_metadata_and_no_other
                the_layer_has_the_changes_and_no_others
                mount_points_stay_with_the_container
                a_container_without_changes_is_committed
                equal_changes_make_an_equal_image_at_any_time
                nothing_else_stays_in_the_store;
            $snapshot = snapshot:
                a_restored_container_has_the_files_of_the_snapshot
                a_snapshot_is_listed_by_its_labels_until_it_is_removed
                a_snapshot_is_one_moment_of_a_container_that_writes
                a_restored_container_is_committed_as_if_it_had_never_been_one
                snapshots_of_restored_containers_build_on_each_other;
            $volume = volume:
                a_volume_is_filled_once_and_kept
                what_is_no_volume_is_refused;
            $systemd = systemd:
                systemd_boots_and_stops
                the_newest_systemd_boots
                a_failed_unit_is_named
                a_systemd_that_dies_says_why;
            $network = network:
                a_private_network_reaches_the_outside
                the_host_has_a_name
                containers_of_a_private_network_find_each_other
                private_networks_do_not_see_each_other
                a_published_port_answers_until_the_end
                without_a_network_there_is_the_loopback_device
                what_is_no_port_is_refused;
        }
    };
}

macro_rules! tests {
    ($bench:path; $($name:ident = $module:ident: $($test:ident)+;)+) => {
        tests!(@each $bench; $($name $module [$($test)+])+);
    };
    (@each $bench:path; $name:ident $module:ident [$($test:ident)+] $($rest:tt)*) => {
        mod $name {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                if let Some((bench, _scratch)) = $bench().await {
                    crate::$module::$test(bench).await;
                }
            })+
        }
        tests!(@each $bench; $($rest)*);
    };
    (@each $bench:path;) => {};
}
