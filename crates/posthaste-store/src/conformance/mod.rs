//! The promises of the ports, as tests that every store runs: each is a sentence, and takes a [`World`] over an
//! empty store.
//!
//! [`for_each_promise!`](crate::for_each_promise) hands the list to a macro of the store's own test, so that none is
//! forgotten.

#![expect(missing_docs, reason = "the name of a promise is its sentence")]
#![expect(clippy::unwrap_used, clippy::missing_panics_doc, reason = "these are tests")]

pub mod access;
pub mod directory;
pub mod history;
pub mod intake;
pub mod queue;
pub mod replay;
pub mod rollups;
pub mod sources;
pub mod world;

pub use world::World;

/// Calls `$run! { intake { names… } queue { names… } … }` with every promise.
#[macro_export]
macro_rules! for_each_promise {
    ($run:ident) => {
        $run! {
            intake {
                an_accepted_message_is_there_with_a_delivery_for_each_endpoint
                a_message_that_nobody_wants_is_kept
                disabled_and_deleted_endpoints_get_no_delivery
                event_types_and_channels_decide_who_gets_a_message
                a_change_of_an_endpoint_counts_for_the_next_message
                the_same_idempotency_key_returns_the_first_message_and_writes_nothing
                an_idempotency_key_of_another_request_is_refused
                an_idempotency_key_is_free_again_after_its_window
                of_requests_that_race_with_one_key_one_is_done
                an_event_id_is_taken_in_its_own_app_only
                a_message_for_an_app_that_is_not_there_is_refused
                an_app_is_made_with_its_first_message
                a_refused_message_leaves_no_app_behind
                a_message_for_one_endpoint_goes_only_there_whatever_its_filter
                a_scheduled_message_waits_until_its_time
                a_new_delivery_is_handed_over_leased_if_the_engine_has_room
                what_the_engine_has_no_room_for_waits_and_is_hinted_at
                what_a_listener_that_never_comes_is_owed_ends_after_a_day
                what_is_owed_to_a_listener_waits_until_somebody_listens
                a_body_comes_back_byte_for_byte
                a_request_that_fails_harms_no_other_of_its_batch
                the_operational_app_takes_no_messages
            }
            queue {
                no_two_callers_hold_a_live_lease_on_one_delivery
                whatever_happens_leases_stay_apart_and_nothing_is_lost
                a_claim_takes_what_is_due_oldest_first_and_no_more_than_asked
                what_waits_for_an_endpoint_is_counted_up_to_a_bound
                a_claim_carries_the_message_the_endpoint_and_the_attempts_made
                endpoints_with_something_due_are_listed_in_order
                the_oldest_due_delivery_is_the_one_that_waited_longest
                attempt_new_state_and_health_appear_together
                a_record_without_the_lease_keeps_the_attempt_and_leaves_the_state
                a_record_that_is_repeated_counts_once
                a_retry_waits_until_its_time_and_is_hinted_at
                a_delivery_that_is_given_up_keeps_its_reason
                a_410_disables_the_endpoint_and_hints_at_what_waits_for_it
                an_endpoint_that_fails_for_days_is_disabled_and_one_success_forgives
                a_released_delivery_is_due_at_once_and_untried
                what_is_given_back_keeps_its_place_before_what_was_accepted_later
                an_expired_lease_goes_back_and_a_live_one_does_not
                what_waits_for_a_disabled_endpoint_is_claimed_to_be_ended
                what_waits_for_a_deleted_endpoint_is_claimed_to_be_ended
                what_waits_for_a_deleted_app_is_claimed_to_be_ended
                a_resend_puts_a_delivery_back_with_its_full_schedule
                a_resend_makes_a_delivery_that_never_was
                a_resend_leaves_a_delivery_in_flight_alone
                a_resend_goes_out_even_to_a_disabled_endpoint
                what_is_not_there_or_has_no_body_cannot_be_resent
                a_recovery_puts_back_the_dead_letters_of_its_time_in_steps
                a_job_of_another_environment_is_not_seen
                old_messages_that_are_owed_to_nobody_are_forgotten
                a_body_is_forgotten_at_its_own_time_and_the_message_stays
                forgetting_goes_on_in_steps_until_nothing_is_left
                the_backlog_is_counted_as_it_changes
                commands_that_wait_together_are_committed_together
                what_happens_to_attempts_is_told_to_operational_webhooks
                what_happens_to_operational_webhooks_is_not_told_to_them
            }
            directory {
                an_environment_is_made_once
                a_token_opens_its_environment_until_it_expires
                a_revoked_token_opens_nothing_from_the_next_request_on
                a_token_of_an_app_is_confined_to_it_and_ends_with_it
                tokens_are_listed_by_environment_without_being_shown
                an_app_reads_back_as_it_was_made_by_id_and_by_uid
                the_uid_of_an_app_is_taken_until_it_is_deleted
                an_app_changes_in_what_the_change_names_and_nothing_else
                what_is_foreign_or_deleted_is_not_found
                lists_are_walked_by_key_both_ways
                an_endpoint_reads_back_as_it_was_made_with_its_secret
                an_endpoint_changes_in_what_the_change_names_and_nothing_else
                enabling_an_endpoint_forgets_how_long_it_failed
                after_a_rotation_the_old_secret_is_kept_for_its_grace
                the_operational_app_is_made_when_used_and_never_listed
                changes_of_endpoints_are_told_to_operational_webhooks
                an_event_type_reads_back_changes_and_is_brought_back_after_archiving
                a_reserved_key_is_answered_once_settled_and_free_again_when_not
            }
            access {
                a_session_ends_with_the_token_that_it_was_made_with
                a_session_lasts_no_longer_than_what_it_was_made_with
                links_and_sessions_that_are_over_go_after_thirty_days_and_api_tokens_stay
                one_token_ends_in_its_own_environment_and_app_only
                all_tokens_of_an_app_end_at_once_or_at_a_time_and_nobody_elses
                the_sessions_of_operators_end_at_once_and_their_tokens_go_on
                what_is_chosen_is_the_environments_own_and_can_be_taken_back
                a_password_is_found_by_its_environments_name_and_makes_none
                a_catalogue_is_found_by_its_letters_which_no_two_have
            }
            history {
                a_message_is_found_by_id_and_by_event_id_in_its_app_only
                messages_are_filtered_by_type_channel_tag_and_time
                messages_are_walked_by_id_both_ways
                messages_say_how_many_of_their_deliveries_stand_how
                an_attempt_reads_back_as_it_was_recorded
                attempts_are_filtered_by_status_class_endpoint_and_message
                an_endpoints_attempts_are_its_own_and_come_by_page
                a_page_of_large_bodies_ends_early_and_says_that_there_is_more
                a_message_shows_where_each_of_its_deliveries_stands
                an_endpoint_shows_its_deliveries_and_how_many_stand_how
                an_expunged_body_is_gone_and_what_it_belonged_to_stays
                the_history_of_another_environment_is_not_found
                whatever_has_an_id_is_found_by_it_alone_in_its_environment_only
                an_open_store_answers_a_ping
            }
            replay {
                a_replay_puts_back_what_stands_as_asked_and_leaves_the_rest
                a_replay_of_an_app_goes_through_all_its_endpoints
                event_type_channel_and_tag_narrow_a_replay
                a_replay_of_named_messages_touches_no_other
                a_replay_of_what_is_missing_makes_the_deliveries_that_an_endpoint_wants
                what_is_counted_is_what_is_put_back
                what_ends_again_while_a_replay_runs_is_not_put_back_twice
                a_replay_that_several_are_at_puts_each_back_once
                what_is_accepted_after_a_replay_was_asked_for_is_not_touched
                a_rate_is_kept_by_the_clock
                a_replay_without_a_rate_does_not_wait_for_one_that_has_one
                what_lost_its_payload_is_counted_and_not_put_back
                a_cancelled_replay_goes_no_further
                a_cancelled_recovery_goes_no_further
                a_replay_ends_when_its_endpoint_or_its_app_is_gone_or_disabled
                a_replay_of_an_app_passes_disabled_endpoints_by_and_says_so
                a_replay_of_what_is_another_tenants_is_refused
                so_many_replays_may_be_under_way_and_no_more
                jobs_are_listed_by_what_they_do_and_how_they_stand
            }
            rollups {
                an_accepted_message_is_counted_for_its_app_and_its_environment
                what_a_source_received_and_what_is_told_are_counted_as_accepted
                a_refused_or_repeated_message_counts_nothing
                what_is_recorded_is_counted_for_endpoint_app_and_environment
                what_comes_after_a_disabled_or_deleted_endpoint_is_counted
                what_is_recorded_without_the_lease_or_again_counts_nothing
                records_of_one_delivery_that_race_are_counted_once
                what_several_write_at_once_adds_up
                counts_come_by_the_minute_and_in_the_time_asked_for
                old_counts_become_coarser_and_then_go
                what_is_counted_late_joins_what_is_already_coarse
                counts_become_coarser_in_steps_and_several_at_once_lose_none
                counts_of_another_environment_are_not_seen
                counts_of_several_things_come_added_up_in_the_order_asked_for
                things_are_found_among_many_wherever_they_lie
                endpoints_that_fail_are_listed_the_longest_first
                sums_agree_with_what_was_accepted_and_recorded
            }
            sources {
                what_was_received_is_there_with_its_origin_and_a_delivery_for_each_endpoint
                what_is_received_is_handed_over_leased_with_its_origin
                event_types_decide_which_endpoints_get_what_was_received
                what_was_received_and_nobody_wanted_is_kept
                a_key_that_comes_again_is_answered_with_the_first_message_and_only_counted
                without_a_key_or_with_another_a_request_is_new
                the_same_key_at_another_source_is_another
                a_key_is_free_again_after_its_window_whether_or_not_it_was_swept
                of_requests_that_race_with_one_key_one_becomes_a_message
                a_repetition_of_a_message_that_was_forgotten_is_still_known
                nothing_is_received_at_a_source_that_is_unknown_foreign_or_deleted
                an_expunged_message_keeps_no_origin
                what_was_received_is_kept_no_longer_than_its_source_says
                a_source_reads_back_as_it_was_made_by_id_by_uid_and_by_its_door
                the_uid_of_a_source_is_taken_until_it_is_deleted
                a_source_changes_in_what_the_change_names_and_nothing_else
                a_source_that_is_no_longer_as_it_was_read_is_not_changed
                sources_are_listed_by_id_both_ways_in_their_environment_only
                sources_that_make_messages_of_their_own_are_read_by_page_and_no_others
                a_source_of_another_environment_or_a_deleted_one_is_not_found
                the_app_of_a_source_is_hidden_from_lists_and_ends_with_its_source_only
                a_sources_endpoints_are_those_of_its_app
                what_was_received_is_seen_resent_and_recovered_like_any_message
                a_deleted_source_takes_its_endpoints_with_it_and_what_was_owed_ends
                after_a_rotation_the_old_door_opens_for_its_grace
                a_source_can_go_back_to_a_door_and_has_no_end_of_old_ones
                each_change_of_a_source_shows_in_the_number_of_changes
                while_a_source_is_paused_it_receives_and_nothing_goes_out
                a_source_that_goes_on_sends_at_once_what_waited
                a_retry_waits_for_the_end_of_a_pause_and_its_own_time
                what_waits_for_a_deleted_endpoint_of_a_paused_source_ends
                a_refused_request_reads_back_at_its_own_source
                of_a_long_refused_body_the_beginning_is_kept_and_its_length
                the_oldest_refused_requests_go_when_a_source_has_too_many
                nothing_is_kept_of_what_a_source_that_is_gone_refused
                refused_requests_are_forgotten_in_time_and_counted_anew
            }
        }
    };
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_promise_is_on_the_list() {
        let list = include_str!("mod.rs");
        let written = concat!(
            include_str!("intake.rs"),
            include_str!("queue.rs"),
            include_str!("replay.rs"),
            include_str!("rollups.rs"),
            include_str!("directory.rs"),
            include_str!("history.rs"),
            include_str!("sources.rs")
        );
        for line in written.lines() {
            let Some(rest) = line.strip_prefix("pub async fn ") else { continue };
            let name = rest.split('(').next().unwrap();
            assert!(list.lines().any(|line| line.trim() == name), "{name} is not on the list");
        }
    }
}
